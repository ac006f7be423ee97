/* Init functions whose plugins cannot be used, and one whose plugin is larger than known. */

#include "websocket_plugin.h"

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    (void)private;
    return server->send(server, type, buffer, size);
}

#define BROKEN(name, size_, version_, on_message_)                                                 \
    EXPORT WebSocketPlugin *CALLBACK name(void);                                                   \
    EXPORT WebSocketPlugin *CALLBACK name(void)                                                    \
    {                                                                                              \
        static WebSocketPlugin plugin = {                                                          \
            .size = size_, .version = version_, .on_message = on_message_};                        \
        return &plugin;                                                                            \
    }

BROKEN(version_init, sizeof(WebSocketPlugin), 7, on_message)
BROKEN(small_init, sizeof(WebSocketPlugin) - 1, WEBSOCKET_PLUGIN_VERSION_0, on_message)
BROKEN(no_on_message_init, sizeof(WebSocketPlugin), WEBSOCKET_PLUGIN_VERSION_0, NULL)

EXPORT WebSocketPlugin *CALLBACK null_init(void);
EXPORT WebSocketPlugin *CALLBACK null_init(void)
{
    return NULL;
}

/* Of a later day: the module must not look at what follows the fields it knows. */
static struct {
    WebSocketPlugin known;
    void *unknown[4];
} larger = {
    .known = {.size = sizeof(larger), .on_message = on_message},
    .unknown = {(void *)1, (void *)2, (void *)3, (void *)4},
};

EXPORT WebSocketPlugin *CALLBACK larger_init(void);
EXPORT WebSocketPlugin *CALLBACK larger_init(void)
{
    return &larger.known;
}
