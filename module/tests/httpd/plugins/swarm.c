/*
 * Many threads send messages of all sizes at once. A message "THREADS COUNT OWN CLOSE_AT" from the
 * client starts them, with COUNT messages each. The callback that got it sends OWN messages, as
 * sender 0. After CLOSE_AT messages (0: never) it calls close. on_disconnect writes the number of
 * accepted messages to the journal ("accepted COUNT"). Other messages are sent back.
 */

#include "journal.h"
#include "numbered.h"

#define MOST_THREADS 16

struct connection {
    struct journal journal;
    const WebSocketServer *server;
    pthread_t threads[MOST_THREADS];
    unsigned running, count;
    atomic_uint next;
    atomic_long accepted;
};

static const size_t sizes[] = {8,      2000, 49151, 49152,   125,   300000, 126,    65536, 20,
                               500000, 9,    70000, 1048576, 65535, 10,     100000, 49142, 49150};

static void send_all(struct connection *connection, unsigned sender, unsigned count,
                     unsigned close_at)
{
    for (unsigned number = 0; number < count; number++) {
        size_t size = sizes[(number + 5 * sender) % (sizeof(sizes) / sizeof(sizes[0]))];
        unsigned char *message = numbered_message(sender, number, size);
        const WebSocketServer *server = connection->server;
        size_t sent = server->send(server, MESSAGE_TYPE_BINARY, message, size);
        free(message);
        if (sent != size) {
            break;
        }
        atomic_fetch_add(&connection->accepted, 1);
        if (number + 1 == close_at) {
            connection->server->close(connection->server);
        }
    }
}

static void *run(void *argument)
{
    struct connection *connection = argument;

    send_all(connection, atomic_fetch_add(&connection->next, 1), connection->count, 0);
    return NULL;
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    connection->journal = journal_of(server);
    connection->server = server;
    atomic_store(&connection->next, 1);
    return connection;
}

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    struct connection *connection = private;
    char command[64] = "";
    unsigned threads, count, own, close_at;

    memcpy(command, buffer, size < sizeof(command) ? size : sizeof(command) - 1);
    if (sscanf(command, "%u %u %u %u", &threads, &count, &own, &close_at) != 4 ||
        threads > MOST_THREADS || connection->running > 0) {
        return server->send(server, type, buffer, size);
    }
    connection->count = count;
    for (; connection->running < threads; connection->running++) {
        pthread_create(&connection->threads[connection->running], NULL, run, connection);
    }
    send_all(connection, 0, own, close_at);
    return 0;
}

static void CALLBACK on_disconnect(void *private, const WebSocketServer *server)
{
    struct connection *connection = private;

    (void)server;
    for (unsigned i = 0; i < connection->running; i++) {
        pthread_join(connection->threads[i], NULL);
    }
    note(&connection->journal, "accepted", atomic_load(&connection->accepted));
    free(connection);
}

PLUGIN(swarm, on_connect, on_message, on_disconnect)
