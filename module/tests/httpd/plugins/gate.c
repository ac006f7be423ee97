/*
 * Blocks callbacks until a client of the same process releases them. It has two plugins, because
 * connections of a plugin that blocks may have to wait for each other.
 *
 * gate: "wait" sends "waiting", blocks on_message until the next release, and sends "released".
 * With the request header X-Hold, on_disconnect blocks until the next release. gatekeeper:
 * "release" releases them. Both send all other messages back, and write "connect" and "disconnect"
 * to the journal.
 */

#include "journal.h"

struct connection {
    struct journal journal;
    int holds;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static long releases;

static void wait_for_release(void)
{
    long before;

    pthread_mutex_lock(&mutex);
    before = releases;
    while (releases == before) {
        pthread_cond_wait(&opened, &mutex);
    }
    pthread_mutex_unlock(&mutex);
}

static void release(void)
{
    pthread_mutex_lock(&mutex);
    releases++;
    pthread_cond_broadcast(&opened);
    pthread_mutex_unlock(&mutex);
}

static int is(const unsigned char *buffer, size_t size, const char *text)
{
    return size == strlen(text) && memcmp(buffer, text, size) == 0;
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    connection->journal = journal_of(server);
    connection->holds = *header(server, "X-Hold") != '\0';
    note(&connection->journal, "connect", NO_NUMBER);
    return connection;
}

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    (void)private;
    if (!is(buffer, size, "wait")) {
        return server->send(server, type, buffer, size);
    }
    say(server, "waiting");
    wait_for_release();
    return say(server, "released");
}

static size_t CALLBACK keeper_on_message(void *private, const WebSocketServer *server,
                                         const int type, unsigned char *buffer, const size_t size)
{
    (void)private;
    if (is(buffer, size, "release")) {
        release();
    }
    return server->send(server, type, buffer, size);
}

static void CALLBACK on_disconnect(void *private, const WebSocketServer *server)
{
    struct connection *connection = private;

    (void)server;
    if (connection->holds) {
        note(&connection->journal, "holding", NO_NUMBER);
        wait_for_release();
    }
    note(&connection->journal, "disconnect", NO_NUMBER);
    free(connection);
}

PLUGIN(gate, on_connect, on_message, on_disconnect)
PLUGIN(gatekeeper, on_connect, keeper_on_message, on_disconnect)
