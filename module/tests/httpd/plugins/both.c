/*
 * A plugin that is also an httpd module, with its own directive TwiceLoaded TEXT. It answers each
 * message with that text. If module and plugin were two copies of the library, the text would be
 * missing.
 */

#include <httpd.h>
#include <http_config.h> /* needs httpd.h */

#include "journal.h"

static const char *configured = "(nothing)";

static const char *set_text(cmd_parms *parms, void *config, const char *text)
{
    (void)parms;
    (void)config;
    configured = text;
    return NULL;
}

static const command_rec directives[] = {
    AP_INIT_TAKE1("TwiceLoaded", set_text, NULL, RSRC_CONF, "a text"),
    {NULL, {NULL}, NULL, 0, RAW_ARGS, NULL},
};

AP_DECLARE_MODULE(both) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, directives, NULL, 0,
};

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    (void)private;
    (void)type;
    (void)buffer;
    (void)size;
    return say(server, configured);
}

PLUGIN(both, NULL, on_message, NULL)
