/*
 * In on_message it waits for MS milliseconds, as in the header X-Pause, sends one message of SIZE
 * bytes, as in the header X-Before, and then never returns. With the header X-Ticks: SIZE a thread sends a message of that size once on_message is
 * stuck. With X-Ticks-Each: MS the thread continues every MS milliseconds with a message "tick".
 */

#include "journal.h"

struct connection {
    const WebSocketServer *server;
    size_t before, after;
    long pause, interval;
    atomic_int is_stuck;
};

static size_t send_bytes(const WebSocketServer *server, size_t size)
{
    unsigned char *bytes = calloc(1, size + 1);
    size_t sent = server->send(server, MESSAGE_TYPE_BINARY, bytes, size);

    free(bytes);
    return sent;
}

static void *after(void *argument)
{
    struct connection *connection = argument;

    while (!atomic_load(&connection->is_stuck)) {
        pause_ms(1);
    }
    pause_ms(20);
    if (connection->after > 0) {
        send_bytes(connection->server, connection->after);
    }
    while (connection->interval > 0 && say(connection->server, "tick") == 4) {
        pause_ms(connection->interval);
    }
    return NULL;
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    pthread_t thread;

    connection->server = server;
    connection->pause = number(server, "X-Pause");
    connection->before = (size_t)number(server, "X-Before");
    connection->after = (size_t)number(server, "X-Ticks");
    connection->interval = number(server, "X-Ticks-Each");
    pthread_create(&thread, NULL, after, connection);
    pthread_detach(thread);
    return connection;
}

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    struct connection *connection = private;

    (void)type;
    (void)buffer;
    (void)size;
    pause_ms(connection->pause);
    if (connection->before > 0) {
        send_bytes(server, connection->before);
    }
    atomic_store(&connection->is_stuck, 1);
    while (atomic_load(&connection->is_stuck)) {
        pause_ms(1000000);
    }
    return 0;
}

PLUGIN(stuck, on_connect, on_message, NULL)
