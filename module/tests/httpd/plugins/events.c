/*
 * Posts an event at each message, after as many milliseconds as the message says. The event says how
 * late it was in the journal ("event MS"); one that is not handled says "discarded".
 */

#include "journal.h"

struct connection {
    struct journal journal;
};

struct event {
    struct journal journal;
    long due;
};

static void CALLBACK happened(void *private, const WebSocketServer *server, void *data)
{
    struct connection *connection = private;
    struct event *event = data;

    note(&connection->journal, "event", milliseconds() - event->due);
    say(server, "event");
    free(event);
}

static void CALLBACK discarded(void *data)
{
    struct event *event = data;

    note(&event->journal, "discarded", NO_NUMBER);
    free(event);
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    connection->journal = journal_of(server);
    return connection;
}

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    struct connection *connection = private;
    struct event *event = calloc(1, sizeof(*event));
    long delay;

    (void)type;
    buffer[size] = '\0';
    delay = strtol((const char *)buffer, NULL, 10);
    event->journal = connection->journal;
    event->due = milliseconds() + delay;
    if (WEBSOCKET_POST(server)(server, (WebSocketNumber)delay, happened, discarded, event) !=
        WEBSOCKET_POST_ACCEPTED) {
        free(event);
    }
    return size;
}

static void CALLBACK on_disconnect(void *private, const WebSocketServer *server)
{
    struct connection *connection = private;

    (void)server;
    note(&connection->journal, "disconnect", NO_NUMBER);
    free(connection);
}

PLUGIN(events, on_connect, on_message, on_disconnect)
