/*
 * Runs Rust plugins like the C module does: it uses only the fields of version 0 of their tables,
 * and passes a server table that ends where the C module's does. It looks for the libraries in its
 * own folder.
 */
#include <dlfcn.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "websocket_plugin.h"

/* One connection: the pointer from the Rust plugin, and the table passed to it. */
struct connection {
    void *private_data;
    WebSocketServer server;
};

static WebSocketPlugin *init_of(const char *library, const char *symbol)
{
    static const char here;
    Dl_info self;
    char folder[PATH_MAX], path[2 * PATH_MAX];
    void *handle, *address;
    WS_Init init;

    if (!dladdr(&here, &self)) {
        return NULL;
    }
    snprintf(folder, sizeof folder, "%s", self.dli_fname);
    snprintf(path, sizeof path, "%s/%s", dirname(folder), library);
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    address = handle ? dlsym(handle, symbol) : NULL;
    memcpy(&init, &address, sizeof init);
    return init ? init() : NULL;
}

static void *connect_to(const WebSocketPlugin *plugin, const WebSocketServer *server)
{
    struct connection *connection = malloc(sizeof *connection);

    if (!connection) {
        return NULL;
    }
    connection->server = *server;
    connection->server.size = sizeof connection->server;
    connection->private_data = plugin->on_connect(&connection->server);
    if (!connection->private_data) {
        free(connection);
        return NULL;
    }
    return connection;
}

#define PLAIN(name)                                                                                \
    static WebSocketPlugin *rust_##name;                                                           \
                                                                                                   \
    static void CALLBACK destroy_##name(WebSocketPlugin *plugin)                                   \
    {                                                                                              \
        (void)plugin;                                                                              \
        rust_##name->destroy(rust_##name);                                                         \
    }                                                                                              \
                                                                                                   \
    static void *CALLBACK connect_##name(const WebSocketServer *server)                            \
    {                                                                                              \
        return connect_to(rust_##name, server);                                                    \
    }                                                                                              \
                                                                                                   \
    static size_t CALLBACK message_##name(void *private_data, const WebSocketServer *server,       \
                                          int type, unsigned char *buffer, size_t size)            \
    {                                                                                              \
        struct connection *connection = private_data;                                              \
                                                                                                   \
        (void)server;                                                                              \
        return rust_##name->on_message(connection->private_data, &connection->server, type,        \
                                       buffer, size);                                              \
    }                                                                                              \
                                                                                                   \
    static void CALLBACK disconnect_##name(void *private_data, const WebSocketServer *server)      \
    {                                                                                              \
        struct connection *connection = private_data;                                              \
                                                                                                   \
        (void)server;                                                                              \
        rust_##name->on_disconnect(connection->private_data, &connection->server);                 \
        free(connection);                                                                          \
    }                                                                                              \
                                                                                                   \
    static WebSocketPlugin table_##name = {                                                        \
        sizeof(WebSocketPlugin), WEBSOCKET_PLUGIN_VERSION_0, destroy_##name,                       \
        connect_##name,          message_##name,             disconnect_##name,                    \
    };                                                                                             \
                                                                                                   \
    EXPORT WebSocketPlugin *CALLBACK plain_##name##_init(void)                                     \
    {                                                                                              \
        rust_##name = init_of(#name ".so", #name "_init");                                         \
        return rust_##name ? &table_##name : NULL;                                                 \
    }

PLAIN(dumb_increment)
PLAIN(echo)
