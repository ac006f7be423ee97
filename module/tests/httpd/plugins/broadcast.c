/*
 * A message "THREADS COUNT" starts threads that each send COUNT messages of various sizes to all
 * connections of this process. "all SENDER COUNT" makes the callback do the same as sender number
 * SENDER, and "end" makes it close all connections. Other messages are sent back.
 */

#include "journal.h"
#include "numbered.h"

#define MOST_THREADS 16
#define MOST_CONNECTIONS 16

struct connection {
    const WebSocketServer *server;
    pthread_t threads[MOST_THREADS];
    unsigned running, count;
    atomic_uint next;
};

/* Locked for reading while sending, and for writing only when a connection begins or ends. */
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct connection *connections[MOST_CONNECTIONS];

static const size_t sizes[] = {8,      2000, 49151, 262144, 125, 16384, 126,
                               200000, 20,   65535, 131072, 9,   65536};

static void replace(struct connection *old, struct connection *new)
{
    unsigned place = 0;

    pthread_rwlock_wrlock(&lock);
    while (place < MOST_CONNECTIONS - 1 && connections[place] != old) {
        place++;
    }
    connections[place] = new;
    pthread_rwlock_unlock(&lock);
}

static void send_to_all(unsigned sender, unsigned count)
{
    for (unsigned number = 0; number < count; number++) {
        size_t size = sizes[(number + 5 * sender) % (sizeof(sizes) / sizeof(sizes[0]))];
        unsigned char *message = numbered_message(sender, number, size);

        pthread_rwlock_rdlock(&lock);
        for (unsigned i = 0; i < MOST_CONNECTIONS; i++) {
            /* Each sender begins with another connection. */
            struct connection *to = connections[(i + sender) % MOST_CONNECTIONS];

            if (to != NULL) {
                to->server->send(to->server, MESSAGE_TYPE_BINARY, message, size);
            }
        }
        pthread_rwlock_unlock(&lock);
        free(message);
    }
}

static void close_all(void)
{
    pthread_rwlock_rdlock(&lock);
    for (unsigned i = 0; i < MOST_CONNECTIONS; i++) {
        if (connections[i] != NULL) {
            connections[i]->server->close(connections[i]->server);
        }
    }
    pthread_rwlock_unlock(&lock);
}

static void *run(void *argument)
{
    struct connection *starter = argument;

    send_to_all(atomic_fetch_add(&starter->next, 1), starter->count);
    return NULL;
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    connection->server = server;
    replace(NULL, connection);
    return connection;
}

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    struct connection *connection = private;
    char command[64] = "";
    unsigned sender, threads, count;

    memcpy(command, buffer, size < sizeof(command) ? size : sizeof(command) - 1);
    if (sscanf(command, "all %u %u", &sender, &count) == 2) {
        send_to_all(sender, count);
        return 0;
    }
    if (strcmp(command, "end") == 0) {
        close_all();
        return 0;
    }
    if (sscanf(command, "%u %u", &threads, &count) != 2 || threads > MOST_THREADS ||
        connection->running > 0) {
        return server->send(server, type, buffer, size);
    }
    connection->count = count;
    for (; connection->running < threads; connection->running++) {
        pthread_create(&connection->threads[connection->running], NULL, run, connection);
    }
    return 0;
}

static void CALLBACK on_disconnect(void *private, const WebSocketServer *server)
{
    struct connection *connection = private;

    (void)server;
    replace(connection, NULL);
    for (unsigned i = 0; i < connection->running; i++) {
        pthread_join(connection->threads[i], NULL);
    }
    free(connection);
}

PLUGIN(broadcast, on_connect, on_message, on_disconnect)
