/*
 * Greets in on_connect, then four threads send NUMBER messages each: "t<thread> <number> " and
 * digits, of various lengths, some of which are worth compressing. NUMBER is in the request header
 * X-Number. Answers "done" to every message.
 */

#include "journal.h"

#define THREADS 4
#define LONGEST 4000

struct connection;

struct sender {
    struct connection *connection;
    long index;
    pthread_t thread;
};

struct connection {
    const WebSocketServer *server;
    long number;
    struct sender senders[THREADS];
};

static void *send_all(void *argument)
{
    struct sender *sender = argument;
    unsigned seed = (unsigned)sender->index;
    char text[LONGEST + 1];

    for (long n = 0; n < sender->connection->number; n++) {
        size_t length = (size_t)(n * 37 % LONGEST);
        size_t used = (size_t)snprintf(text, sizeof(text), "t%ld %ld ", sender->index, n);

        while (used < length) {
            seed = seed * 1664525 + 1013904223;
            text[used++] = (char)('0' + (seed >> 24) % 10);
        }
        text[used] = '\0';
        if (say(sender->connection->server, text) != used) {
            break;
        }
    }
    return NULL;
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    char welcome[1001];

    memset(welcome, 'w', sizeof(welcome) - 1);
    welcome[sizeof(welcome) - 1] = '\0';
    say(server, welcome);
    connection->server = server;
    connection->number = number(server, "X-Number");
    for (long i = 0; i < THREADS; i++) {
        struct sender *sender = &connection->senders[i];

        sender->connection = connection;
        sender->index = i;
        pthread_create(&sender->thread, NULL, send_all, sender);
    }
    return connection;
}

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    (void)private;
    (void)type;
    (void)buffer;
    (void)size;
    return say(server, "done");
}

static void CALLBACK on_disconnect(void *private, const WebSocketServer *server)
{
    struct connection *connection = private;

    (void)server;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(connection->senders[i].thread, NULL);
    }
    free(connection);
}

PLUGIN(crowd, on_connect, on_message, on_disconnect)
