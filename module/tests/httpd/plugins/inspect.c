/* Answers each message with "TYPE SIZE", and "null" if its buffer is NULL. */

#include "journal.h"

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    char text[64];

    (void)private;
    snprintf(text, sizeof(text), "%d %zu%s", type, size, buffer == NULL ? " null" : "");
    return say(server, text);
}

PLUGIN(inspect, NULL, on_message, NULL)
