/*
 * Lets the client call every function of the interface, for end-to-end tests and experiments. Do
 * not use it on a public server: its clients can start threads and block callbacks.
 *
 *     WebSocketHandler modules/kitchen_sink.so kitchen_sink_init
 *
 * In on_connect it accepts the last subprotocol that the client offers, sets the response headers
 * `X-Kitchen-Sink: ready` and `X-Kitchen-Sink-Offers: <number of offered subprotocols>`, and reads
 * for these request headers:
 *
 *     X-Refuse: ...         refuses the connection
 *     X-Greet: TEXT         sends TEXT before anything else
 *     X-Block: MS           blocks on_connect for MS milliseconds
 *
 * A binary message comes back as it is. A text message is a command:
 *
 *     echo TEXT             sends TEXT
 *     upper TEXT            sends TEXT in capitals (ASCII), changed in the message's own buffer
 *     accepted TEXT         sends TEXT, then the number that send returned
 *     empty                 sends an empty text message
 *     raw HEX               sends these hexadecimal bytes as a text message, valid UTF-8 or not
 *     big SIZE              sends SIZE binary bytes; byte i is i % 251
 *     type N TEXT           sends a message of type N
 *     ping TEXT, pong TEXT  sends a ping or a pong
 *     header NAME           sends the value of a request header, or "(none)"
 *     protocols             sends the offered subprotocols in one message, or "(none)"
 *     protocol N            sends the Nth offered subprotocol, counted from 0, or "(none)"
 *     request               sends "yes" if request() returns a request, otherwise "no"
 *     threads N COUNT       N threads at once each send "t<i> 0" to "t<i> <COUNT - 1>"
 *     block MS              blocks on_message for MS milliseconds, then sends "unblocked"
 *     linger MS             makes on_disconnect block for MS milliseconds; sends "lingering"
 *     stale TEXT            sends TEXT through the table of the first connection of this process if
 *                           this connection has the same one, otherwise sends "(another table)"
 *     close                 closes without a status
 *     close CODE REASON     closes with a status and a reason
 *     close-empty           sends a close message with no payload (NULL, 0)
 *     hangup N              N threads close at once
 *
 * Anything else is answered with "unknown command".
 */

#include <stdio.h>
#include <string.h>

#include "kitchen_sink_commands.h"
#include "kitchen_sink_text.h"
#include "kitchen_sink_threads.h"
#include "websocket_plugin.h"

static const struct {
    const char *name;
    void (*run)(struct connection *connection, struct text arguments);
} commands[] = {
    {"echo", do_echo},
    {"upper", do_upper},
    {"accepted", do_accepted},
    {"empty", do_empty},
    {"raw", do_raw},
    {"big", do_big},
    {"type", do_type},
    {"ping", do_ping},
    {"pong", do_pong},
    {"header", do_header},
    {"protocols", do_protocols},
    {"protocol", do_protocol},
    {"request", do_request},
    {"threads", do_threads},
    {"block", do_block},
    {"linger", do_linger},
    {"stale", do_stale},
    {"close", do_close},
    {"close-empty", do_close_empty},
    {"hangup", do_hangup},
};

static void set_response_headers(const WebSocketServer *server)
{
    size_t offers = server->protocol_count(server);
    char number[24];

    if (offers > 0) {
        server->protocol_set(server, server->protocol_index(server, offers - 1));
    }
    server->header_set(server, "X-Kitchen-Sink", "ready");
    /* header_set copies the value, so it may be on the stack. */
    snprintf(number, sizeof(number), "%zu", offers);
    server->header_set(server, "X-Kitchen-Sink-Offers", number);
}

static void *CALLBACK kitchen_sink_on_connect(const WebSocketServer *server)
{
    const char *greeting = server->header_get(server, "X-Greet");
    const char *block_ms = server->header_get(server, "X-Block");
    struct connection *connection;

    if (block_ms != NULL) {
        block(strtol(block_ms, NULL, 10));
    }
    if (server->header_get(server, "X-Refuse") != NULL) {
        return NULL;
    }
    connection = calloc(1, sizeof(*connection));
    if (connection == NULL) {
        return NULL;
    }
    connection->server = server;
    remember_first_table(server);
    set_response_headers(server);
    if (greeting != NULL) {
        send_string(server, greeting);
    }
    return connection;
}

static size_t CALLBACK kitchen_sink_on_message(void *plugin_private, const WebSocketServer *server,
                                               const int type, unsigned char *buffer,
                                               const size_t buffer_size)
{
    struct text text = {buffer, buffer_size};
    struct text command;

    if (type != MESSAGE_TYPE_TEXT) {
        return server->send(server, type, buffer, buffer_size);
    }
    command = next_word(&text);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strlen(commands[i].name) == command.size
            && memcmp(commands[i].name, command.bytes, command.size) == 0) {
            commands[i].run(plugin_private, text);
            return buffer_size;
        }
    }
    send_string(server, "unknown command");
    return buffer_size;
}

static void CALLBACK kitchen_sink_on_disconnect(void *plugin_private,
                                                const WebSocketServer *server)
{
    struct connection *connection = plugin_private;

    (void)server;
    block(connection->linger_ms);
    join_workers(&connection->workers);
    free(connection);
}

static void CALLBACK kitchen_sink_destroy(WebSocketPlugin *plugin)
{
    free(plugin);
}

/* Each call allocates a table, which destroy frees. */
EXPORT WebSocketPlugin *CALLBACK kitchen_sink_init(void)
{
    WebSocketPlugin *plugin = calloc(1, sizeof(*plugin));

    if (plugin != NULL) {
        plugin->size = sizeof(*plugin);
        plugin->version = WEBSOCKET_PLUGIN_VERSION_0;
        plugin->destroy = kitchen_sink_destroy;
        plugin->on_connect = kitchen_sink_on_connect;
        plugin->on_message = kitchen_sink_on_message;
        plugin->on_disconnect = kitchen_sink_on_disconnect;
    }
    return plugin;
}
