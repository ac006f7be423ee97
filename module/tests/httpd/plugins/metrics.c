/*
 * Counts messages ("messages") and connections ("open"). A message with a '-' in front declares a
 * metric with a bad name, and writes the answer to the journal ("bad ANSWER"). Messages are sent back.
 */

#include "journal.h"

struct connection {
    struct journal journal;
    WebSocketNumber *messages;
    WebSocketNumber *open;
};

static int declare(const WebSocketServer *server, int kind, const char *name,
                   WebSocketNumber **cells)
{
    WebSocketMetric metric;
    WebSocketMetricLabel label;
    int answer;

    memset(&metric, 0, sizeof(metric));
    memset(&label, 0, sizeof(label));
    label.name = "language";
    label.name_length = strlen(label.name);
    label.value = "C";
    label.value_length = 1;
    metric.size = sizeof(metric);
    metric.kind = kind;
    metric.plugin = "C-Counter";
    metric.plugin_length = strlen(metric.plugin);
    metric.name = name;
    metric.name_length = strlen(name);
    metric.help = "What a plugin in C counts";
    metric.help_length = strlen(metric.help);
    metric.labels = &label;
    metric.label_count = 1;
    answer = WEBSOCKET_METRIC(server)(server, &metric);
    *cells = metric.cells;
    return answer;
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    connection->journal = journal_of(server);
    declare(server, WEBSOCKET_METRIC_COUNTER, "messages", &connection->messages);
    declare(server, WEBSOCKET_METRIC_GAUGE, "open", &connection->open);
    WEBSOCKET_METRIC_ADD(connection->open, 1);
    return connection;
}

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t buffer_size)
{
    struct connection *connection = private;
    WebSocketNumber *bad = NULL;

    if (buffer_size > 0 && buffer[0] == '-') {
        note(&connection->journal, "bad", declare(server, WEBSOCKET_METRIC_COUNTER, "-", &bad));
        WEBSOCKET_METRIC_ADD(bad, 1);
    } else {
        WEBSOCKET_METRIC_ADD(connection->messages, 1);
    }
    return server->send(server, type, buffer, buffer_size);
}

static void CALLBACK on_disconnect(void *private, const WebSocketServer *server)
{
    struct connection *connection = private;

    (void)server;
    WEBSOCKET_METRIC_ADD(connection->open, (WebSocketNumber)-1);
    note(&connection->journal, "disconnect", NO_NUMBER);
    free(connection);
}

PLUGIN(metrics, on_connect, on_message, on_disconnect)
