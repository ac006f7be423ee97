/*
 * Sends with invalid lengths: for each type, lengths that are negative numbers converted to size_t,
 * and NULL with a length; from the callback and from another thread. Then reports how many were
 * refused ("refused N"). If the message was "close", it closes, which must still work.
 */

#include <limits.h>
#include <stdint.h>

#include "journal.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const int types[] = {
    MESSAGE_TYPE_TEXT, MESSAGE_TYPE_BINARY, MESSAGE_TYPE_CLOSE,
    MESSAGE_TYPE_PING, MESSAGE_TYPE_PONG,   77,
};

static const size_t lengths[] = {
    SIZE_MAX, SIZE_MAX / 2 + 1, (size_t)1 << 62, UINT_MAX, (size_t)INT_MAX + 1,
};

static const unsigned char text[] = "text";

struct job {
    const WebSocketServer *server;
    int refused;
};

static void *send_all(void *argument)
{
    struct job *job = argument;

    for (size_t i = 0; i < COUNT(types); i++) {
        for (size_t j = 0; j < COUNT(lengths); j++) {
            job->refused += job->server->send(job->server, types[i], text, lengths[j]) == 0;
        }
        job->refused += job->server->send(job->server, types[i], NULL, 4) == 0;
    }
    return NULL;
}

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    struct job job = {server, 0};
    pthread_t thread;
    char answer[32];

    (void)private;
    (void)type;
    send_all(&job);
    pthread_create(&thread, NULL, send_all, &job);
    pthread_join(thread, NULL);
    snprintf(answer, sizeof(answer), "refused %d", job.refused);
    say(server, answer);
    if (size == 5 && memcmp(buffer, "close", 5) == 0) {
        server->send(server, MESSAGE_TYPE_CLOSE, (const unsigned char *)"\x03\xe8", 2);
    }
    return size;
}

PLUGIN(lengths, NULL, on_message, NULL)
