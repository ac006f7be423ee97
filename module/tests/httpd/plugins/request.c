/*
 * Uses httpd's request_rec from a thread until on_disconnect returns: reads args and headers_in,
 * allocates from r->pool and from a sub-pool, and registers a clean-up on r->pool, which writes
 * "cleaned" to the journal. Writes "wrong" if the contents are wrong.
 */

#include <apr_strings.h>
#include <apr_tables.h>
#include <httpd.h>

#include "journal.h"

struct connection {
    struct journal journal;
    request_rec *request;
    pthread_t thread;
    atomic_int is_over;
};

static apr_status_t clean_up(void *argument)
{
    note(argument, "cleaned", NO_NUMBER);
    return APR_SUCCESS;
}

static int is_right(request_rec *r)
{
    apr_pool_t *sub_pool;
    char *text, *copy;
    const char *host = apr_table_get(r->headers_in, "Host");
    int result;

    text = apr_pstrcat(r->pool, r->args, "|", r->path_info, NULL);
    apr_pool_create(&sub_pool, r->pool);
    copy = apr_palloc(sub_pool, 20000);
    memset(copy, 'x', 20000);
    result = strncmp(text, r->args, strlen(r->args)) == 0 && host != NULL
             && strcmp(host, "localhost") == 0 && strcmp(r->connection->client_ip, "127.0.0.1") == 0
             && r->server != NULL && r->per_dir_config != NULL && copy[19999] == 'x';
    apr_pool_destroy(sub_pool);
    return result;
}

static void *use(void *argument)
{
    struct connection *connection = argument;
    long rounds = 0;

    while (!atomic_load(&connection->is_over)) {
        if (!is_right(connection->request)) {
            note(&connection->journal, "wrong", NO_NUMBER);
        }
        rounds++;
        if (rounds % 64 == 0) {
            pause_ms(1);
        }
    }
    note(&connection->journal, "rounds", rounds);
    return NULL;
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    request_rec *r = server->request(server);
    struct connection *connection = apr_pcalloc(r->pool, sizeof(*connection));
    struct journal *journal = apr_pcalloc(r->pool, sizeof(*journal));

    *journal = connection->journal = journal_of(server);
    connection->request = r;
    apr_table_setn(r->headers_out, "X-From-Table", "yes");
    apr_table_setn(r->headers_out, "X-Path-Info", r->path_info == NULL ? "" : r->path_info);
    apr_pool_cleanup_register(r->pool, journal, clean_up, apr_pool_cleanup_null);
    note(&connection->journal, "connect", NO_NUMBER);
    return connection;
}

/* "start" starts the thread. All messages are sent back. */
static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    struct connection *connection = private;

    if (size == 5 && memcmp(buffer, "start", 5) == 0 && connection->thread == 0) {
        pthread_create(&connection->thread, NULL, use, connection);
    }
    return server->send(server, type, buffer, size);
}

static void CALLBACK on_disconnect(void *private, const WebSocketServer *server)
{
    struct connection *connection = private;

    pause_ms(10);
    if (server->request(server) != (struct request_rec *)connection->request) {
        note(&connection->journal, "wrong", NO_NUMBER);
    }
    atomic_store(&connection->is_over, 1);
    if (connection->thread != 0) {
        pthread_join(connection->thread, NULL);
    }
    note(&connection->journal, "disconnect", NO_NUMBER);
}

PLUGIN(request, on_connect, on_message, on_disconnect)
