/*
 * Four threads send while they hold a mutex that on_message and on_disconnect take, too. If send
 * waits for a callback, or a callback for send, this deadlocks. The threads send "." all the time;
 * every message from the client is sent back under the mutex.
 */

#include "journal.h"

#define THREADS 4

struct connection {
    struct journal journal;
    const WebSocketServer *server;
    pthread_mutex_t mutex;
    pthread_t threads[THREADS];
    int is_over;
};

static void *chatter(void *argument)
{
    struct connection *connection = argument;
    int is_over = 0;

    while (!is_over) {
        pthread_mutex_lock(&connection->mutex);
        is_over = connection->is_over || say(connection->server, ".") != 1;
        pthread_mutex_unlock(&connection->mutex);
        pause_ms(1);
    }
    return NULL;
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    connection->journal = journal_of(server);
    connection->server = server;
    pthread_mutex_init(&connection->mutex, NULL);
    note(&connection->journal, "connect", NO_NUMBER);
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&connection->threads[i], NULL, chatter, connection);
    }
    return connection;
}

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    struct connection *connection = private;

    pthread_mutex_lock(&connection->mutex);
    pause_ms(5); /* let the others queue up at the mutex */
    server->send(server, type, buffer, size);
    pthread_mutex_unlock(&connection->mutex);
    return 0;
}

static void CALLBACK on_disconnect(void *private, const WebSocketServer *server)
{
    struct connection *connection = private;

    (void)server;
    pthread_mutex_lock(&connection->mutex);
    connection->is_over = 1;
    pthread_mutex_unlock(&connection->mutex);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(connection->threads[i], NULL);
    }
    note(&connection->journal, "disconnect", NO_NUMBER);
    free(connection);
}

PLUGIN(mutex, on_connect, on_message, on_disconnect)
