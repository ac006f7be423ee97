/* Copies the whole message to the stack, reversed, and sends that. */

#include "journal.h"

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    unsigned char copy[size + 1];

    (void)private;
    for (size_t i = 0; i < size; i++) {
        copy[size - 1 - i] = buffer[i];
    }
    return server->send(server, type, copy, size);
}

PLUGIN(stack, NULL, on_message, NULL)
