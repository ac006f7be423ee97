/*
 * Sends before, during and after on_disconnect. Three threads send small messages as long as the
 * connection takes them. on_disconnect joins them, and writes to the journal how long that took in
 * milliseconds ("joined MS"), what send returns afterwards ("late RESULT"), and whether the request
 * is still available ("request 1"). With X-Linger: MS it waits, while a thread sends all the time.
 */

#include "journal.h"

#define THREADS 3

struct connection {
    struct journal journal;
    const WebSocketServer *server;
    pthread_t threads[THREADS];
    long linger;
    atomic_int is_over;
    atomic_long late_sends;
};

static void *chatter(void *argument)
{
    struct connection *connection = argument;

    while (say(connection->server, "chatter") == 7) {
        pause_ms(1);
    }
    return NULL;
}

/* Continues regardless of refusals. */
static void *insist(void *argument)
{
    struct connection *connection = argument;

    while (!atomic_load(&connection->is_over)) {
        if (say(connection->server, "insist") == 0) {
            atomic_fetch_add(&connection->late_sends, 1);
        }
        connection->server->close(connection->server);
    }
    return NULL;
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    connection->journal = journal_of(server);
    connection->server = server;
    connection->linger = number(server, "X-Linger");
    note(&connection->journal, "connect", NO_NUMBER);
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&connection->threads[i], NULL, chatter, connection);
    }
    return connection;
}

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    (void)private;
    return server->send(server, type, buffer, size);
}

static void CALLBACK on_disconnect(void *private, const WebSocketServer *server)
{
    struct connection *connection = private;
    long started = milliseconds();
    pthread_t insisting;

    for (int i = 0; i < THREADS; i++) {
        pthread_join(connection->threads[i], NULL);
    }
    note(&connection->journal, "joined", milliseconds() - started);
    pthread_create(&insisting, NULL, insist, connection);
    pause_ms(connection->linger);
    atomic_store(&connection->is_over, 1);
    pthread_join(insisting, NULL);
    note(&connection->journal, "late", (long)say(server, "late"));
    note(&connection->journal, "request", server->request(server) != NULL);
    note(&connection->journal, "disconnect", NO_NUMBER);
    free(connection);
}

PLUGIN(late, on_connect, on_message, on_disconnect)
