/*
 * Writes to the journal how the connection ended: "by", "code", "clean" and "reason" (its length).
 * The message "close" closes without a code. "fill" fills the queue and writes how many bytes wait
 * ("buffered"), then that nothing can be told before the end ("early").
 */

#include "journal.h"

static unsigned char megabyte[1 << 20];

struct connection {
    struct journal journal;
};

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    connection->journal = journal_of(server);
    return connection;
}

static void fill(const struct connection *connection, const WebSocketServer *server)
{
    WS_Try_Send try_send = WEBSOCKET_TRY_SEND(server);
    WebSocketEnding ending = {0};

    while (try_send(server, MESSAGE_TYPE_BINARY, megabyte, sizeof(megabyte)) ==
           WEBSOCKET_SEND_ACCEPTED) {
        /* one more */
    }
    note(&connection->journal, "buffered", (long)WEBSOCKET_BUFFERED(server)(server));
    ending.size = sizeof(ending);
    note(&connection->journal, "early", WEBSOCKET_ENDING(server)(server, &ending));
}

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    (void)type;
    if (size == strlen("close") && memcmp(buffer, "close", size) == 0) {
        server->close(server);
    } else if (size == strlen("fill") && memcmp(buffer, "fill", size) == 0) {
        fill(private, server);
    }
    return size;
}

static void CALLBACK on_disconnect(void *private, const WebSocketServer *server)
{
    struct connection *connection = private;
    WebSocketEnding ending = {0};

    note(&connection->journal, "small", WEBSOCKET_ENDING(server)(server, &ending));
    ending.size = sizeof(ending);
    if (WEBSOCKET_ENDING(server)(server, &ending) == 1) {
        note(&connection->journal, "by", ending.closed_by);
        note(&connection->journal, "code", ending.code);
        note(&connection->journal, "clean", ending.is_clean);
        note(&connection->journal, "reason", (long)strlen(ending.reason));
    }
    note(&connection->journal, "told", NO_NUMBER);
    free(connection);
}

PLUGIN(ending, on_connect, on_message, on_disconnect)
