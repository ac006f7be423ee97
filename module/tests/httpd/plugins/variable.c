/* Refuses clients unless the variable COLOUR is "blue". Answers each message with its value. */

#include "journal.h"

static const char *colour(const WebSocketServer *server)
{
    const char *value = WEBSOCKET_VARIABLE(server)(server, "COLOUR");

    return value == NULL ? "none" : value;
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    static int connection;

    return strcmp(colour(server), "blue") == 0 ? &connection : NULL;
}

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    (void)private;
    (void)type;
    (void)buffer;
    (void)size;
    return say(server, colour(server));
}

PLUGIN(variable, on_connect, on_message, NULL)
