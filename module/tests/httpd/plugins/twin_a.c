/* One of two plugins whose init functions have the same name. Answers "a". */

#include "journal.h"

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    (void)private;
    (void)type;
    (void)buffer;
    (void)size;
    return say(server, "a");
}

PLUGIN(twin, NULL, on_message, NULL)
