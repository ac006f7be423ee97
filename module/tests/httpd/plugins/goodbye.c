/*
 * A thread sends "hello" when it starts, and "goodbye" from the destructor of its thread-specific
 * data, when it has almost ended. A message from the client starts it. The result of the last send
 * is in the journal ("goodbye RESULT").
 */

#include "journal.h"

struct connection {
    struct journal journal;
    const WebSocketServer *server;
    pthread_t thread;
    int has_thread;
};

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void say_goodbye(void *argument)
{
    struct connection *connection = argument;

    note(&connection->journal, "goodbye", (long)say(connection->server, "goodbye"));
}

static void create_key(void)
{
    pthread_key_create(&key, say_goodbye);
}

static void *run(void *argument)
{
    struct connection *connection = argument;

    pthread_setspecific(key, connection);
    say(connection->server, "hello");
    return NULL;
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    connection->journal = journal_of(server);
    connection->server = server;
    pthread_once(&once, create_key);
    return connection;
}

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    struct connection *connection = private;

    (void)server;
    (void)type;
    (void)buffer;
    (void)size;
    pthread_create(&connection->thread, NULL, run, connection);
    connection->has_thread = 1;
    return 0;
}

static void CALLBACK on_disconnect(void *private, const WebSocketServer *server)
{
    struct connection *connection = private;

    (void)server;
    if (connection->has_thread) {
        pthread_join(connection->thread, NULL);
    }
    free(connection);
}

PLUGIN(goodbye, on_connect, on_message, on_disconnect)
