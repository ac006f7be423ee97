/*
 * A module of httpd, not a plugin: a filter next to the core's in each direction, which passes
 * everything on. When a connection ends, it logs the number of bytes that have passed.
 */

#include <httpd.h>
#include <http_config.h> /* needs httpd.h */

#include <http_connection.h>
#include <http_log.h>
#include <util_filter.h>

#define NAME "BELOW"

static void register_hooks(apr_pool_t *pool);

AP_DECLARE_MODULE(below) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks, 0,
};

typedef struct {
    server_rec *server;
    apr_off_t in;
    apr_off_t out;
} Counts;

static apr_off_t length(apr_bucket_brigade *brigade)
{
    apr_off_t bytes = 0;

    return apr_brigade_length(brigade, 0, &bytes) == APR_SUCCESS && bytes > 0 ? bytes : 0;
}

static apr_status_t count_input(ap_filter_t *filter, apr_bucket_brigade *brigade,
                                ap_input_mode_t mode, apr_read_type_e block, apr_off_t wanted)
{
    Counts *counts = filter->ctx;
    apr_status_t status = ap_get_brigade(filter->next, brigade, mode, block, wanted);

    if (status == APR_SUCCESS && mode != AP_MODE_SPECULATIVE) {
        counts->in += length(brigade);
    }
    return status;
}

static apr_status_t count_output(ap_filter_t *filter, apr_bucket_brigade *brigade)
{
    Counts *counts = filter->ctx;

    counts->out += length(brigade);
    return ap_pass_brigade(filter->next, brigade);
}

static apr_status_t log_counts(void *context)
{
    const Counts *counts = context;

    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, counts->server,
                 "below: %" APR_OFF_T_FMT " in, %" APR_OFF_T_FMT " out", counts->in, counts->out);
    return APR_SUCCESS;
}

static int add_filters(conn_rec *connection, void *socket)
{
    Counts *counts = apr_pcalloc(connection->pool, sizeof(*counts));

    (void)socket;
    counts->server = connection->base_server;
    apr_pool_cleanup_register(connection->pool, counts, log_counts, apr_pool_cleanup_null);
    ap_add_input_filter(NAME, counts, NULL, connection);
    ap_add_output_filter(NAME, counts, NULL, connection);
    return OK;
}

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_register_input_filter(NAME, count_input, NULL, AP_FTYPE_NETWORK);
    ap_register_output_filter(NAME, count_output, NULL, AP_FTYPE_NETWORK);
    /* The core adds its filters last, and so after these. */
    ap_hook_pre_connection(add_filters, NULL, NULL, APR_HOOK_FIRST);
}
