/*
 * Computes for the number of milliseconds in the message, then sends the message back. With a + in
 * front it also sends it before.
 */

#include "journal.h"

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    char number[16] = "";
    struct timespec used;
    long now, end = 0;

    (void)private;
    memcpy(number, buffer, size < sizeof(number) ? size : sizeof(number) - 1);
    if (number[0] == '+') {
        server->send(server, type, buffer, size);
    }
    do {
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
        now = used.tv_sec * 1000 + used.tv_nsec / 1000000;
        end = end != 0 ? end : now + strtol(number, NULL, 10);
    } while (now < end);
    return server->send(server, type, buffer, size);
}

PLUGIN(spin, NULL, on_message, NULL)
