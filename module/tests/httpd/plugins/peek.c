/*
 * A module of httpd, not a plugin: an input filter on each side of mod_ssl, which peeks at the
 * available bytes before it reads them, like modules that detect protocols. When a connection ends,
 * it logs how often it peeked, and how often the bytes read then differed.
 */

#include <httpd.h>
#include <http_config.h> /* needs httpd.h */

#include <http_connection.h>
#include <http_log.h>
#include <util_filter.h>

#include <string.h>

#define ABOVE "PEEK_ABOVE"
#define BELOW "PEEK_BELOW"

static void register_hooks(apr_pool_t *pool);

AP_DECLARE_MODULE(peek) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks, 0,
};

typedef struct {
    conn_rec *connection;
    long looks;
    long differences;
} Counts;

static apr_status_t look_and_read(ap_filter_t *filter, apr_bucket_brigade *brigade,
                                  ap_input_mode_t mode, apr_read_type_e block, apr_off_t wanted)
{
    Counts *counts = filter->ctx;
    apr_pool_t *pool;
    char *seen = NULL, *read = NULL;
    apr_size_t seen_length = 0, read_length = 0;
    apr_status_t status;

    if (mode != AP_MODE_READBYTES) {
        return ap_get_brigade(filter->next, brigade, mode, block, wanted);
    }
    apr_pool_create(&pool, NULL);
    status = ap_get_brigade(filter->next, brigade, AP_MODE_SPECULATIVE, APR_NONBLOCK_READ, wanted);
    if (status == APR_SUCCESS) {
        apr_brigade_pflatten(brigade, &seen, &seen_length, pool);
    }
    apr_brigade_cleanup(brigade);
    status = ap_get_brigade(filter->next, brigade, mode, block, wanted);
    if (status == APR_SUCCESS && seen_length > 0) {
        apr_brigade_pflatten(brigade, &read, &read_length, pool);
        counts->looks++;
        if (read_length == 0
            || memcmp(seen, read, seen_length < read_length ? seen_length : read_length) != 0) {
            counts->differences++;
        }
    }
    apr_pool_destroy(pool);
    return status;
}

static apr_status_t log_counts(void *context)
{
    const Counts *counts = context;

    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, counts->connection->base_server,
                 "peek: %s, %ld differences", counts->looks > 0 ? "looked" : "never looked",
                 counts->differences);
    return APR_SUCCESS;
}

static int add_filters(conn_rec *connection, void *socket)
{
    (void)socket;
    for (int i = 0; i < 2; i++) {
        Counts *counts = apr_pcalloc(connection->pool, sizeof(*counts));

        counts->connection = connection;
        apr_pool_cleanup_register(connection->pool, counts, log_counts, apr_pool_cleanup_null);
        ap_add_input_filter(i == 0 ? ABOVE : BELOW, counts, NULL, connection);
    }
    return OK;
}

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_register_input_filter(ABOVE, look_and_read, NULL, AP_FTYPE_CONNECTION);
    ap_register_input_filter(BELOW, look_and_read, NULL, AP_FTYPE_NETWORK - 2);
    ap_hook_pre_connection(add_filters, NULL, NULL, APR_HOOK_FIRST);
}
