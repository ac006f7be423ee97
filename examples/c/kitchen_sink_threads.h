/* Threads that a connection starts, and blocking. kitchen_sink.c includes this file. */

#ifndef KITCHEN_SINK_THREADS_H
#define KITCHEN_SINK_THREADS_H

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "kitchen_sink_text.h"
#include "websocket_plugin.h"

/* One thread, in the list of the threads that its connection started. */
struct worker {
    struct worker *next;
    pthread_t thread;
    const WebSocketServer *server;
    long index;
    long count;
};

/* For start_workers: sends `count` messages "t<index> <n>". */
static void *send_numbers(void *argument)
{
    const struct worker *worker = argument;

    for (long n = 0; n < worker->count; n++) {
        char message[64];

        snprintf(message, sizeof(message), "t%ld %ld", worker->index, n);
        if (send_string(worker->server, message) != strlen(message)) {
            break; /* the connection takes no more messages */
        }
    }
    return NULL;
}

/* For start_workers: closes the connection. */
static void *hang_up(void *argument)
{
    const struct worker *worker = argument;

    worker->server->close(worker->server);
    return NULL;
}

/* Starts `workers` threads, or as many as the system allows, and puts them into `list`. */
static void start_workers(struct worker **list, const WebSocketServer *server,
                          void *(*run)(void *), long workers, long count)
{
    for (long index = 0; index < workers; index++) {
        struct worker *worker = malloc(sizeof(*worker));

        if (worker == NULL) {
            return;
        }
        worker->server = server;
        worker->index = index;
        worker->count = count;
        if (pthread_create(&worker->thread, NULL, run, worker) != 0) {
            free(worker);
            return;
        }
        worker->next = *list;
        *list = worker;
    }
}

/* Waits for all threads of `list` to end. */
static void join_workers(struct worker **list)
{
    while (*list != NULL) {
        struct worker *worker = *list;

        *list = worker->next;
        pthread_join(worker->thread, NULL);
        free(worker);
    }
}

static void block(long milliseconds)
{
    struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000};

    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
        /* a signal interrupted the sleep: wait for the rest */
    }
}

#endif /* KITCHEN_SINK_THREADS_H */
