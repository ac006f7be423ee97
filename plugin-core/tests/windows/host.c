/*
 * Loads a plugin that echoes, as mod_websocket does on Windows, and has it echo one message.
 *
 *     host LIBRARY INIT
 *
 * The table that the plugin gets ends where that of the original C module ends.
 */

#include <stdio.h>
#include <string.h>
#include <windows.h>

#include "websocket_plugin.h"

static char echo[64];

static struct request_rec *CALLBACK request(const WebSocketServer *server)
{
    (void)server;
    return NULL;
}

static const char *CALLBACK header_get(const WebSocketServer *server, const char *key)
{
    (void)server, (void)key;
    return NULL;
}

static void CALLBACK header_set(const WebSocketServer *server, const char *key, const char *value)
{
    (void)server, (void)key, (void)value;
}

static size_t CALLBACK protocol_count(const WebSocketServer *server)
{
    (void)server;
    return 0;
}

static const char *CALLBACK protocol_index(const WebSocketServer *server, const size_t index)
{
    (void)server, (void)index;
    return NULL;
}

static void CALLBACK protocol_set(const WebSocketServer *server, const char *protocol)
{
    (void)server, (void)protocol;
}

static size_t CALLBACK send_message(const WebSocketServer *server, const int type,
                                    const unsigned char *buffer, const size_t length)
{
    (void)server;
    if (type == MESSAGE_TYPE_TEXT && length < sizeof echo) {
        memcpy(echo, buffer, length);
        echo[length] = '\0';
    }
    return length;
}

static void CALLBACK close_connection(const WebSocketServer *server)
{
    (void)server;
}

int main(int count, char **arguments)
{
    WebSocketServer server = {
        sizeof server, WEBSOCKET_SERVER_VERSION_1, NULL, request,      header_get,
        header_set,    protocol_count,             protocol_index, protocol_set, send_message,
        close_connection,
    };
    unsigned char message[] = "hello";
    WebSocketPlugin *(CALLBACK *init)(void) = NULL;
    WebSocketPlugin *plugin;
    HMODULE library;
    void *connection = &server;

    if (count != 3) {
        return 2;
    }
    library = LoadLibraryA(arguments[1]);
    if (library == NULL) {
        printf("cannot load %s: error %lu\n", arguments[1], GetLastError());
        return 1;
    }
    *(FARPROC *)&init = GetProcAddress(library, arguments[2]);
    if (init == NULL || (plugin = init()) == NULL) {
        printf("no plugin under %s\n", arguments[2]);
        return 1;
    }
    if (plugin->on_connect != NULL && (connection = plugin->on_connect(&server)) == NULL) {
        printf("the plugin refuses the connection\n");
        return 1;
    }
    plugin->on_message(connection, &server, MESSAGE_TYPE_TEXT, message, sizeof message - 1);
    if (plugin->on_disconnect != NULL) {
        plugin->on_disconnect(connection, &server);
    }
    printf("size %u, version %u, echo '%s'\n", plugin->size, plugin->version, echo);
    return strcmp(echo, "hello") == 0 ? 0 : 1;
}
