/*
 * Writes every callback to the journal: "connect", "message SIZE", "disconnect". Sends messages
 * back. With the request header X-Stream: SIZE a thread sends binary messages of that size until
 * send returns another number. Then it writes "refused RESULT" and the total of accepted bytes.
 */

#include "journal.h"

struct connection {
    struct journal journal;
    const WebSocketServer *server;
    pthread_t thread;
    size_t size;
};

static void *stream(void *argument)
{
    struct connection *connection = argument;
    unsigned char *bytes = calloc(1, connection->size);
    long total = 0;
    size_t result;

    while ((result = connection->server->send(connection->server, MESSAGE_TYPE_BINARY, bytes,
                                              connection->size)) == connection->size) {
        total += (long)result;
    }
    note(&connection->journal, "refused", (long)result);
    note(&connection->journal, "accepted", total);
    free(bytes);
    return NULL;
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    connection->journal = journal_of(server);
    connection->server = server;
    connection->size = (size_t)number(server, "X-Stream");
    note(&connection->journal, "connect", NO_NUMBER);
    if (connection->size > 0) {
        pthread_create(&connection->thread, NULL, stream, connection);
    }
    return connection;
}

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    struct connection *connection = private;

    note(&connection->journal, "message", (long)size);
    return server->send(server, type, buffer, size);
}

static void CALLBACK on_disconnect(void *private, const WebSocketServer *server)
{
    struct connection *connection = private;

    (void)server;
    if (connection->size > 0) {
        pthread_join(connection->thread, NULL);
    }
    note(&connection->journal, "disconnect", NO_NUMBER);
    free(connection);
}

PLUGIN(journal, on_connect, on_message, on_disconnect)
