/*
 * Keeps the first WebSocketServer of the process for ever. A thread, which starts with the first
 * connection, uses it all the time, for whichever connection it belongs to, or none. Messages go
 * back through the kept table.
 */

#include "journal.h"

static _Atomic(const WebSocketServer *) kept;

static void *ask_for_ever(void *argument)
{
    (void)argument;
    for (;;) {
        const WebSocketServer *server = atomic_load(&kept);

        /* An unsolicited pong is harmless on any connection. */
        server->send(server, MESSAGE_TYPE_PONG, NULL, 0);
        server->protocol_count(server);
        server->request(server);
        pause_ms(1);
    }
    return NULL;
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    const WebSocketServer *none = NULL;
    pthread_t thread;

    if (atomic_compare_exchange_strong(&kept, &none, server)) {
        pthread_create(&thread, NULL, ask_for_ever, NULL);
        pthread_detach(thread);
    }
    return &kept;
}

/*
 * Answers "kept SENT same|other": the bytes sent through the kept table, and whether it is the
 * current one.
 */
static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    const WebSocketServer *first = atomic_load(&kept);
    char text[64];

    (void)private;
    snprintf(text, sizeof(text), "kept %zu %s", first->send(first, type, buffer, size),
             first == server ? "same" : "other");
    return say(server, text);
}

PLUGIN(keeper, on_connect, on_message, NULL)
