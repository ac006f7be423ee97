/*
 * Counts up every 50 ms and sends the number as text. Each connection has a thread for this. The
 * text message "reset\n" sets the number back to 0.
 *
 * The client must offer the subprotocol "dumb-increment-protocol"; otherwise the plugin refuses it.
 *
 *     WebSocketHandler modules/dumb_increment.so dumb_increment_init
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "websocket_plugin.h"

#define SUBPROTOCOL "dumb-increment-protocol"
#define RESET "reset\n"
#define INTERVAL_NS (50 * 1000 * 1000)

/* One connection. `mutex` guards `number` and `stopping`; `wake` signals a change of `stopping`. */
struct counter {
    const WebSocketServer *server;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    unsigned long number;
    bool stopping;
};

static void add_interval(struct timespec *time)
{
    time->tv_nsec += INTERVAL_NS;
    if (time->tv_nsec >= 1000000000L) {
        time->tv_nsec -= 1000000000L;
        time->tv_sec += 1;
    }
}

/* Waits until `deadline`, or until the connection ends. The caller holds the mutex. */
static void wait_until(struct counter *counter, const struct timespec *deadline)
{
    while (!counter->stopping
           && pthread_cond_timedwait(&counter->wake, &counter->mutex, deadline) == 0) {
        /* a spurious wake-up: check again */
    }
}

/* Sends the number and increments it. Returns false once the connection takes no more messages. */
static bool send_number(struct counter *counter)
{
    char text[24];
    size_t length = (size_t)snprintf(text, sizeof(text), "%lu", counter->number);

    counter->number += 1;
    return counter->server->send(counter->server, MESSAGE_TYPE_TEXT, (const unsigned char *)text,
                                 length)
           == length;
}

/*
 * The thread. It may hold the mutex, which on_message takes too, while it sends, because send never
 * waits for a callback.
 */
static void *count(void *argument)
{
    struct counter *counter = argument;
    struct timespec deadline;
    bool open = true;

    clock_gettime(CLOCK_MONOTONIC, &deadline);
    pthread_mutex_lock(&counter->mutex);
    while (open && !counter->stopping) {
        /* Adding to the deadline and not to the current time keeps the rate constant. */
        add_interval(&deadline);
        wait_until(counter, &deadline);
        if (!counter->stopping) {
            open = send_number(counter);
        }
    }
    pthread_mutex_unlock(&counter->mutex);
    return NULL;
}

static void free_counter(struct counter *counter)
{
    pthread_cond_destroy(&counter->wake);
    pthread_mutex_destroy(&counter->mutex);
    free(counter);
}

static struct counter *new_counter(const WebSocketServer *server)
{
    struct counter *counter = calloc(1, sizeof(*counter));
    pthread_condattr_t attributes;

    if (counter == NULL) {
        return NULL;
    }
    counter->server = server;
    pthread_mutex_init(&counter->mutex, NULL);
    /* The monotonic clock, because a change of the time of day must not stop the counting. */
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&counter->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    return counter;
}

static bool client_offers(const WebSocketServer *server, const char *wanted)
{
    size_t offered = server->protocol_count(server);

    for (size_t i = 0; i < offered; i++) {
        const char *protocol = server->protocol_index(server, i);

        if (protocol != NULL && strcmp(protocol, wanted) == 0) {
            return true;
        }
    }
    return false;
}

static void *CALLBACK dumb_increment_on_connect(const WebSocketServer *server)
{
    struct counter *counter;

    if (!client_offers(server, SUBPROTOCOL)) {
        return NULL;
    }
    server->protocol_set(server, SUBPROTOCOL);

    counter = new_counter(server);
    if (counter != NULL && pthread_create(&counter->thread, NULL, count, counter) != 0) {
        free_counter(counter);
        counter = NULL;
    }
    return counter;
}

static size_t CALLBACK dumb_increment_on_message(void *plugin_private,
                                                 const WebSocketServer *server, const int type,
                                                 unsigned char *buffer, const size_t buffer_size)
{
    struct counter *counter = plugin_private;

    (void)server;
    if (type == MESSAGE_TYPE_TEXT && buffer_size == strlen(RESET)
        && memcmp(buffer, RESET, buffer_size) == 0) {
        pthread_mutex_lock(&counter->mutex);
        counter->number = 0;
        pthread_mutex_unlock(&counter->mutex);
    }
    return buffer_size;
}

static void CALLBACK dumb_increment_on_disconnect(void *plugin_private,
                                                  const WebSocketServer *server)
{
    struct counter *counter = plugin_private;

    (void)server;
    pthread_mutex_lock(&counter->mutex);
    counter->stopping = true;
    pthread_cond_signal(&counter->wake);
    pthread_mutex_unlock(&counter->mutex);

    pthread_join(counter->thread, NULL);
    free_counter(counter);
}

static WebSocketPlugin dumb_increment_plugin = {
    .size = sizeof(WebSocketPlugin),
    .version = WEBSOCKET_PLUGIN_VERSION_0,
    .on_connect = dumb_increment_on_connect,
    .on_message = dumb_increment_on_message,
    .on_disconnect = dumb_increment_on_disconnect,
};

EXPORT WebSocketPlugin *CALLBACK dumb_increment_init(void)
{
    return &dumb_increment_plugin;
}
