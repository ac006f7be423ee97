/*
 * Writes a NUL after every message, as plugins do that treat messages as strings, then sends the
 * message back without it. "wait" takes 200 ms, so that more messages arrive meanwhile.
 */

#include "journal.h"

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    (void)private;
    buffer[size] = '\0';
    if (strcmp((const char *)buffer, "wait") == 0) {
        pause_ms(200);
    }
    return server->send(server, type, buffer, size);
}

PLUGIN(nul, NULL, on_message, NULL)
