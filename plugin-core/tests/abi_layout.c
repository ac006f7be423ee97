/*
 * Prints the layout of the tables and the value of every constant in websocket_plugin.h, as one
 * "name value" per line. Compiles as C89 (except for %zu), as C99 and as C++.
 */

#include "websocket_plugin.h"

#include <stddef.h>
#include <stdio.h>

#define SIZE(table) printf("size_of(%s) %zu\n", #table, sizeof(table))
#define OFFSET(table, field) printf("%s.%s %zu\n", #table, #field, offsetof(table, field))
#define CONSTANT(name) printf("%s %ld\n", #name, (long)(name))

static void print_server(void)
{
    SIZE(WebSocketServer);
    OFFSET(WebSocketServer, size);
    OFFSET(WebSocketServer, version);
    OFFSET(WebSocketServer, state);
    OFFSET(WebSocketServer, request);
    OFFSET(WebSocketServer, header_get);
    OFFSET(WebSocketServer, header_set);
    OFFSET(WebSocketServer, protocol_count);
    OFFSET(WebSocketServer, protocol_index);
    OFFSET(WebSocketServer, protocol_set);
    OFFSET(WebSocketServer, send);
    OFFSET(WebSocketServer, close);
}

static void print_server_table(void)
{
    SIZE(WebSocketServerTable);
    OFFSET(WebSocketServerTable, for_rust);
    OFFSET(WebSocketServerTable, try_send);
}

static void print_topics(void)
{
    OFFSET(WebSocketTopicServer, subscribe);
    OFFSET(WebSocketTopicServer, unsubscribe);
    OFFSET(WebSocketTopicServer, publish);
    OFFSET(WebSocketTopicServer, topics);
    SIZE(WebSocketTopicServer);
    SIZE(WebSocketPosition);
    OFFSET(WebSocketPosition, offset);
    SIZE(WebSocketSubscription);
    OFFSET(WebSocketSubscription, flags);
    OFFSET(WebSocketSubscription, since);
    OFFSET(WebSocketSubscription, info);
    OFFSET(WebSocketSubscription, info_length);
    OFFSET(WebSocketSubscription, position);
    OFFSET(WebSocketSubscription, recovery);
    OFFSET(WebSocketSubscription, recovered);
    SIZE(WebSocketPublication);
    OFFSET(WebSocketPublication, flags);
    OFFSET(WebSocketPublication, position);
    OFFSET(WebSocketTopics, state);
    OFFSET(WebSocketTopics, publish);
    OFFSET(WebSocketTopics, count);
}

static void print_ending(void)
{
    SIZE(WebSocketEndingServer);
    OFFSET(WebSocketEndingServer, ending);
    OFFSET(WebSocketEndingServer, buffered);
    SIZE(WebSocketFlowServer);
    OFFSET(WebSocketFlowServer, pause);
    OFFSET(WebSocketFlowServer, on_drain);
    SIZE(WebSocketEventServer);
    OFFSET(WebSocketEventServer, post);
    SIZE(WebSocketVariableServer);
    OFFSET(WebSocketVariableServer, variable);
    SIZE(WebSocketPartServer);
    OFFSET(WebSocketPartServer, on_part);
    SIZE(WebSocketMetricServer);
    OFFSET(WebSocketMetricServer, metric);
    SIZE(WebSocketMetric);
    OFFSET(WebSocketMetric, size);
    OFFSET(WebSocketMetric, kind);
    OFFSET(WebSocketMetric, plugin);
    OFFSET(WebSocketMetric, name);
    OFFSET(WebSocketMetric, help);
    OFFSET(WebSocketMetric, bounds);
    OFFSET(WebSocketMetric, labels);
    OFFSET(WebSocketMetric, cells);
    SIZE(WebSocketMetricLabel);
    OFFSET(WebSocketMetricLabel, value);
    SIZE(WebSocketWriteServer);
    OFFSET(WebSocketWriteServer, begin);
    OFFSET(WebSocketWriteServer, write);
    SIZE(WebSocketEnding);
    OFFSET(WebSocketEnding, size);
    OFFSET(WebSocketEnding, closed_by);
    OFFSET(WebSocketEnding, code);
    OFFSET(WebSocketEnding, is_clean);
    OFFSET(WebSocketEnding, reason_length);
    OFFSET(WebSocketEnding, reason);
}

static void print_plugin(void)
{
    SIZE(WebSocketPlugin);
    OFFSET(WebSocketPlugin, size);
    OFFSET(WebSocketPlugin, version);
    OFFSET(WebSocketPlugin, destroy);
    OFFSET(WebSocketPlugin, on_connect);
    OFFSET(WebSocketPlugin, on_message);
    OFFSET(WebSocketPlugin, on_disconnect);
}

static void print_constants(void)
{
    CONSTANT(WEBSOCKET_METRIC_COUNTER);
    CONSTANT(WEBSOCKET_METRIC_GAUGE);
    CONSTANT(WEBSOCKET_METRIC_HISTOGRAM);
    CONSTANT(WEBSOCKET_METRIC_OK);
    CONSTANT(WEBSOCKET_METRIC_INVALID);
    CONSTANT(WEBSOCKET_METRIC_FULL);
    CONSTANT(WEBSOCKET_METRIC_UNAVAILABLE);
    CONSTANT(MESSAGE_TYPE_INVALID);
    CONSTANT(MESSAGE_TYPE_TEXT);
    CONSTANT(MESSAGE_TYPE_BINARY);
    CONSTANT(MESSAGE_TYPE_CLOSE);
    CONSTANT(MESSAGE_TYPE_PING);
    CONSTANT(MESSAGE_TYPE_PONG);
    CONSTANT(WEBSOCKET_SEND_ACCEPTED);
    CONSTANT(WEBSOCKET_SEND_CLOSED);
    CONSTANT(WEBSOCKET_SEND_FULL);
    CONSTANT(WEBSOCKET_TOPIC_OK);
    CONSTANT(WEBSOCKET_TOPIC_CLOSED);
    CONSTANT(WEBSOCKET_TOPIC_INVALID);
    CONSTANT(WEBSOCKET_TOPIC_LIMIT);
    CONSTANT(WEBSOCKET_TOPIC_TOO_LARGE);
    CONSTANT(WEBSOCKET_TOPIC_UNAVAILABLE);
    CONSTANT(WEBSOCKET_SUBSCRIBE_ENVELOPE);
    CONSTANT(WEBSOCKET_SUBSCRIBE_SINCE);
    CONSTANT(WEBSOCKET_RECOVERY_NONE);
    CONSTANT(WEBSOCKET_RECOVERY_COMPLETE);
    CONSTANT(WEBSOCKET_RECOVERY_GAP);
    CONSTANT(WEBSOCKET_PUBLISH_JSON);
    CONSTANT(WEBSOCKET_CLOSED_BY_CLIENT);
    CONSTANT(WEBSOCKET_CLOSED_BY_PLUGIN);
    CONSTANT(WEBSOCKET_CLOSED_BY_ERROR);
    CONSTANT(WEBSOCKET_CLOSED_BY_TIMEOUT);
    CONSTANT(WEBSOCKET_CLOSED_BY_DRAIN);
    CONSTANT(WEBSOCKET_CLOSED_BY_LIMIT);
    CONSTANT(WEBSOCKET_CLOSED_BY_SHUTDOWN);
    CONSTANT(WEBSOCKET_CLOSED_BY_NOBODY);
    CONSTANT(WEBSOCKET_SERVER_VERSION_1);
    CONSTANT(WEBSOCKET_PLUGIN_VERSION_0);
}

/*
 * Callbacks and calls of a plugin, so that the compiler checks their signatures against the
 * typedefs of the header.
 */
static void *CALLBACK connected(const WebSocketServer *server)
{
    struct _WebSocketState *state = server->state;
    struct request_rec *request = server->request(server);
    const char *header = server->header_get(server, "Host");
    size_t offered = server->protocol_count(server);
    const char *protocol = server->protocol_index(server, offered);

    server->header_set(server, "Name", header);
    server->protocol_set(server, protocol);
    return request == NULL ? (void *)state : (void *)request;
}

static void CALLBACK disconnected(void *plugin_private, const WebSocketServer *server)
{
    (void)plugin_private;
    (void)server;
}

static void CALLBACK happened(void *plugin_private, const WebSocketServer *server, void *event)
{
    (void)plugin_private;
    (void)server;
    (void)event;
}

static void CALLBACK part_received(void *plugin_private, const WebSocketServer *server,
                                   const int type, unsigned char *buffer, const size_t buffer_size,
                                   const int is_last)
{
    (void)plugin_private;
    (void)server;
    (void)type;
    (void)buffer;
    (void)buffer_size;
    (void)is_last;
}

static size_t CALLBACK received(void *plugin_private, const WebSocketServer *server, const int type,
                                unsigned char *buffer, const size_t buffer_size)
{
    const unsigned char *unchanged = buffer;

    WS_Try_Send try_send = WEBSOCKET_TRY_SEND(server);

    if (WEBSOCKET_METRIC(server) != NULL) {
        static WebSocketMetric metric;

        metric.size = sizeof(WebSocketMetric);
        (void)WEBSOCKET_METRIC(server)(server, &metric);
#ifdef WEBSOCKET_METRIC_ADD
        WEBSOCKET_METRIC_ADD(metric.cells, 1);
#endif
    }
    if (WEBSOCKET_VARIABLE(server) != NULL) {
        (void)WEBSOCKET_VARIABLE(server)(server, "HTTPS");
    }
    if (WEBSOCKET_BEGIN(server) != NULL && WEBSOCKET_WRITE(server) != NULL) {
        (void)WEBSOCKET_BEGIN(server)(server, type);
        (void)WEBSOCKET_WRITE(server)(server, NULL, 0, WEBSOCKET_WRITE_END);
    }
    if (WEBSOCKET_ON_PART(server) != NULL) {
        (void)WEBSOCKET_ON_PART(server)(server, part_received);
    }
    if (WEBSOCKET_POST(server) != NULL) {
        (void)WEBSOCKET_POST(server)(server, 1000, happened, NULL, NULL);
    }
    if (WEBSOCKET_ON_DRAIN(server) != NULL) {
        WEBSOCKET_ON_DRAIN(server)(server, disconnected);
    }
    if (WEBSOCKET_PAUSE(server) != NULL) {
        (void)WEBSOCKET_PAUSE(server)(server, 1);
    }
    if (plugin_private == NULL) {
        server->close(server);
    }
    if (try_send != NULL) {
        return try_send(server, type, unchanged, buffer_size) == WEBSOCKET_SEND_ACCEPTED;
    }
    return server->send(server, type, unchanged, buffer_size);
}

static void CALLBACK destroyed(WebSocketPlugin *plugin)
{
    (void)plugin;
}

EXPORT WebSocketPlugin *CALLBACK layout_init(void);

EXPORT WebSocketPlugin *CALLBACK layout_init(void)
{
    static WebSocketPlugin plugin = {sizeof(WebSocketPlugin), WEBSOCKET_PLUGIN_VERSION_0, destroyed,
                                     connected, received, disconnected};

    return &plugin;
}

int main(void)
{
    WS_Init init = layout_init;

    print_server();
    print_server_table();
    print_topics();
    print_ending();
    print_plugin();
    print_constants();
    return init() == NULL;
}
