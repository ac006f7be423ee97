/*
 * An echo that is wrong from time to time, so that tests can show that they would notice: it loses
 * a message (faulty_init), changes one (damaging_init), or sends two in the wrong order
 * (swapping_init).
 */

#include "journal.h"

#include <stdlib.h>

/* One in so many messages of a process. */
#define RARE 50

static atomic_uint messages;

/* The message that is held back. */
struct held {
    unsigned char *buffer;
    size_t size;
    int type;
};

static int is_rare(void)
{
    return atomic_fetch_add(&messages, 1) % RARE == RARE - 1;
}

static size_t CALLBACK lose(void *private, const WebSocketServer *server, const int type,
                            unsigned char *buffer, const size_t size)
{
    (void)private;
    return is_rare() ? size : server->send(server, type, buffer, size);
}

static size_t CALLBACK damage(void *private, const WebSocketServer *server, const int type,
                              unsigned char *buffer, const size_t size)
{
    (void)private;
    if (size > 0 && is_rare()) {
        buffer[size - 1] = buffer[size - 1] == 'x' ? 'y' : 'x';
    }
    return server->send(server, type, buffer, size);
}

static void *CALLBACK hold_nothing(const WebSocketServer *server)
{
    (void)server;
    return calloc(1, sizeof(struct held));
}

static size_t CALLBACK swap(void *private, const WebSocketServer *server, const int type,
                            unsigned char *buffer, const size_t size)
{
    struct held *held = private;
    size_t sent;

    if (held->buffer == NULL && size > 0 && is_rare()) {
        held->buffer = malloc(size);
        memcpy(held->buffer, buffer, size);
        held->size = size;
        held->type = type;
        return size;
    }
    sent = server->send(server, type, buffer, size);
    if (held->buffer != NULL) {
        server->send(server, held->type, held->buffer, held->size);
        free(held->buffer);
        held->buffer = NULL;
    }
    return sent;
}

static void CALLBACK forget(void *private, const WebSocketServer *server)
{
    struct held *held = private;

    (void)server;
    free(held->buffer);
    free(held);
}

PLUGIN(faulty, NULL, lose, NULL)
PLUGIN(damaging, NULL, damage, NULL)
PLUGIN(swapping, hold_nothing, swap, forget)
