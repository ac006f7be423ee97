/*
 * Writes a message piece by piece: each message of the client is a piece, flushed if it ends with a
 * dot, and the last one if it is empty. "NULL" writes a piece without a buffer. Says "none" if no
 * message was begun for a piece, and "busy" at a second begin.
 */

#include <stdlib.h>
#include <string.h>

#include "journal.h"

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    int how = size == 0                   ? WEBSOCKET_WRITE_END
              : buffer[size - 1] == '.' ? WEBSOCKET_WRITE_FLUSH
                                        : WEBSOCKET_WRITE_MORE;

    (void)private;
    if (type == MESSAGE_TYPE_BINARY) {
        if (WEBSOCKET_BEGIN(server)(server, MESSAGE_TYPE_TEXT) == WEBSOCKET_SEND_BUSY) {
            say(server, "busy");
        }
        return size;
    }
    if (size == 4 && memcmp(buffer, "NULL", size) == 0) {
        buffer = NULL;
    }
    if (WEBSOCKET_WRITE(server)(server, buffer, size, how) != WEBSOCKET_SEND_ACCEPTED) {
        say(server, "none");
    }
    return size;
}

EXPORT WebSocketPlugin *CALLBACK pieces_init(void);

EXPORT WebSocketPlugin *CALLBACK pieces_init(void)
{
    static WebSocketPlugin plugin = {sizeof(WebSocketPlugin), WEBSOCKET_PLUGIN_VERSION_0, NULL,
                                     NULL, on_message, NULL};

    return &plugin;
}
