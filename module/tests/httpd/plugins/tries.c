/*
 * Sends messages of 1 MiB as long as they are accepted without a wait. Writes to the journal how
 * many were accepted ("accepted NUMBER") and the result after that ("tried RESULT"). Does so in
 * on_connect with the request header X-Early, in on_message for the message "callback", and in a
 * thread for "thread". All other messages are sent back. It also writes when the queue has room again
 * ("drained").
 */

#include "journal.h"

#define MOST 1000

static unsigned char megabyte[1 << 20];

struct connection {
    struct journal journal;
    const WebSocketServer *server;
};

static void *try_all(void *argument)
{
    const struct connection *connection = argument;
    WS_Try_Send try_send = WEBSOCKET_TRY_SEND(connection->server);
    int result = WEBSOCKET_SEND_ACCEPTED;
    long accepted = 0;

    while (accepted < MOST) {
        result = try_send(connection->server, MESSAGE_TYPE_BINARY, megabyte, sizeof(megabyte));
        if (result != WEBSOCKET_SEND_ACCEPTED) {
            break;
        }
        accepted++;
    }
    note(&connection->journal, "accepted", accepted);
    note(&connection->journal, "tried", result);
    return NULL;
}

static void CALLBACK on_drain(void *private, const WebSocketServer *server)
{
    const struct connection *connection = private;

    (void)server;
    note(&connection->journal, "drained", NO_NUMBER);
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    connection->journal = journal_of(server);
    connection->server = server;
    WEBSOCKET_ON_DRAIN(server)(server, on_drain);
    if (header(server, "X-Early")[0] != '\0') {
        try_all(connection);
    }
    return connection;
}

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    struct connection *connection = private;
    pthread_t thread;

    if (size == strlen("callback") && memcmp(buffer, "callback", size) == 0) {
        try_all(connection);
    } else if (size == strlen("thread") && memcmp(buffer, "thread", size) == 0) {
        pthread_create(&thread, NULL, try_all, connection);
        pthread_join(thread, NULL);
    } else {
        server->send(server, type, buffer, size);
    }
    return size;
}

static void CALLBACK on_disconnect(void *private, const WebSocketServer *server)
{
    (void)server;
    free(private);
}

PLUGIN(tries, on_connect, on_message, on_disconnect)
