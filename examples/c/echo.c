/*
 * Sends every message back: text as text, binary as binary.
 *
 *     WebSocketHandler modules/echo.so echo_init
 */

#include "websocket_plugin.h"

static size_t CALLBACK echo_on_message(void *plugin_private, const WebSocketServer *server,
                                       const int type, unsigned char *buffer,
                                       const size_t buffer_size)
{
    (void)plugin_private;
    return server->send(server, type, buffer, buffer_size);
}

/* Nothing to set up or to clean up. Without on_connect every connection is accepted. */
static WebSocketPlugin echo_plugin = {
    .size = sizeof(WebSocketPlugin),
    .version = WEBSOCKET_PLUGIN_VERSION_0,
    .on_message = echo_on_message,
};

EXPORT WebSocketPlugin *CALLBACK echo_init(void)
{
    return &echo_plugin;
}
