/*
 * Takes messages in parts, and sends each part back behind "part " or "last ". A part may be changed
 * in place, and a NUL be written behind it. A message that comes whole is answered with "whole".
 */

#include <ctype.h>
#include <stdlib.h>

#include "journal.h"

static void CALLBACK on_part(void *private, const WebSocketServer *server, const int type,
                             unsigned char *buffer, const size_t size, const int is_last)
{
    char *answer = malloc(size + sizeof("last "));
    size_t i;

    (void)private;
    (void)type;
    for (i = 0; i < size; i++) {
        buffer[i] = (unsigned char)toupper(buffer[i]);
    }
    buffer[size] = '\0';
    strcpy(answer, is_last ? "last " : "part ");
    strcat(answer, (const char *)buffer);
    say(server, answer);
    free(answer);
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    static int connection;

    if (number(server, "X-Whole") == 0 && WEBSOCKET_ON_PART(server)(server, on_part) != 1) {
        return NULL;
    }
    return &connection;
}

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    (void)private;
    (void)type;
    (void)buffer;
    say(server, WEBSOCKET_ON_PART(server)(server, on_part) == 0 ? "whole" : "too late");
    return size;
}

EXPORT WebSocketPlugin *CALLBACK parts_init(void);

EXPORT WebSocketPlugin *CALLBACK parts_init(void)
{
    static WebSocketPlugin plugin = {sizeof(WebSocketPlugin), WEBSOCKET_PLUGIN_VERSION_0, NULL,
                                     on_connect, on_message, NULL};

    return &plugin;
}
