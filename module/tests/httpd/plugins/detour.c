/*
 * A module of httpd that redirects internally and then continues, and an echo plugin. The plugin
 * answers "uri" with the URI of its request and of the request that was redirected to it.
 */

#include <httpd.h>
#include <http_config.h> /* needs httpd.h */

#include <apr_strings.h>
#include <http_protocol.h>
#include <http_request.h>

#include "journal.h"

#define TARGET "/detour/plugin"

static void register_hooks(apr_pool_t *pool);

AP_DECLARE_MODULE(detour) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks, 0,
};

static int is(const request_rec *r, const char *uri)
{
    return strcmp(r->uri, uri) == 0;
}

static void read_on(request_rec *r)
{
    apr_bucket_brigade *brigade = apr_brigade_create(r->pool, r->connection->bucket_alloc);

    ap_get_brigade(r->input_filters, brigade, AP_MODE_READBYTES, APR_NONBLOCK_READ, 4096);
    apr_brigade_cleanup(brigade);
}

static int handle(request_rec *r)
{
    if (r->handler == NULL || strcmp(r->handler, "detour") != 0) {
        return DECLINED;
    }
    if (is(r, "/detour/begun")) {
        ap_set_content_type(r, "text/plain");
        ap_rputs("begun", r);
        ap_rflush(r);
    }
    ap_internal_redirect(TARGET, r);
    if (is(r, "/detour/late")) {
        ap_rputs("HTTP/1.1 200 too late\r\n\r\n", r);
        ap_rflush(r);
    }
    if (is(r, "/detour/reads")) {
        read_on(r);
    }
    if (is(r, "/detour/again")) {
        ap_internal_redirect(TARGET, r);
    }
    return is(r, "/detour/fails") ? HTTP_INTERNAL_SERVER_ERROR : OK;
}

/* Runs before httpd looks for a handler, so that hooks around handlers do not see it. */
static int handle_quickly(request_rec *r, int lookup)
{
    const char quick[] = "/detour/quick";

    if (lookup || strncmp(r->uri, quick, strlen(quick)) != 0) {
        return DECLINED;
    }
    ap_internal_redirect(TARGET, r);
    return is(r, quick) ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_hook_handler(handle, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_quick_handler(handle_quickly, NULL, NULL, APR_HOOK_FIRST);
}

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    const request_rec *r = server->request(server);

    (void)private;
    if (size == 3 && memcmp(buffer, "uri", 3) == 0) {
        return say(server, apr_pstrcat(r->pool, r->uri, "?", r->args, ", redirected from ",
                                       r->prev != NULL ? r->prev->uri : "nowhere", NULL));
    }
    return server->send(server, type, buffer, size);
}

PLUGIN(detour, NULL, on_message, NULL)
