/* The commands, one function each. kitchen_sink.c, which includes this file, documents them. */

#ifndef KITCHEN_SINK_COMMANDS_H
#define KITCHEN_SINK_COMMANDS_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "kitchen_sink_text.h"
#include "kitchen_sink_threads.h"
#include "websocket_plugin.h"

/* One connection. Only callbacks use it. They never run at the same time, so it needs no lock. */
struct connection {
    const WebSocketServer *server;
    struct worker *workers;
    long linger_ms;
};

/* ---- Sending --------------------------------------------------------------------------------- */

static void do_echo(struct connection *connection, struct text text)
{
    send_text(connection->server, text);
}

static void do_upper(struct connection *connection, struct text text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.bytes[i] >= 'a' && text.bytes[i] <= 'z') {
            text.bytes[i] = (unsigned char)(text.bytes[i] - 'a' + 'A');
        }
    }
    send_text(connection->server, text);
}

static void do_accepted(struct connection *connection, struct text text)
{
    char number[24];

    snprintf(number, sizeof(number), "%zu", send_text(connection->server, text));
    send_string(connection->server, number);
}

static void do_empty(struct connection *connection, struct text text)
{
    (void)text;
    send_string(connection->server, "");
}

static void do_raw(struct connection *connection, struct text text)
{
    struct text raw = {text.bytes, text.size / 2};

    /* Two digits become one byte, so the result never overtakes the digits still to be read. */
    for (size_t i = 0; i < raw.size; i++) {
        raw.bytes[i] = (unsigned char)(hex_value(text.bytes[2 * i]) << 4
                                       | hex_value(text.bytes[2 * i + 1]));
    }
    send_text(connection->server, raw);
}

static void do_big(struct connection *connection, struct text text)
{
    long number = next_number(&text);
    size_t size = number < 0 ? 0 : (size_t)number;
    unsigned char *bytes = malloc(size + 1);

    if (bytes == NULL) {
        send_string(connection->server, "out of memory");
        return;
    }
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (unsigned char)(i % 251);
    }
    connection->server->send(connection->server, MESSAGE_TYPE_BINARY, bytes, size);
    free(bytes);
}

static void send_as(struct connection *connection, int type, struct text text)
{
    connection->server->send(connection->server, type, text.bytes, text.size);
}

static void do_type(struct connection *connection, struct text text)
{
    int type = (int)next_number(&text);

    send_as(connection, type, text);
}

static void do_ping(struct connection *connection, struct text text)
{
    send_as(connection, MESSAGE_TYPE_PING, text);
}

static void do_pong(struct connection *connection, struct text text)
{
    send_as(connection, MESSAGE_TYPE_PONG, text);
}

/* ---- The request ----------------------------------------------------------------------------- */

static void do_header(struct connection *connection, struct text text)
{
    const WebSocketServer *server = connection->server;
    char name[256];

    send_string_or_none(server, server->header_get(server, c_string(text, name, sizeof(name))));
}

static void do_protocols(struct connection *connection, struct text text)
{
    const WebSocketServer *server = connection->server;
    size_t count = server->protocol_count(server);
    char list[1024] = "";
    size_t used = 0;

    (void)text;
    for (size_t i = 0; i < count && used < sizeof(list); i++) {
        used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i == 0 ? "" : ", ",
                                 server->protocol_index(server, i));
    }
    send_string_or_none(server, count == 0 ? NULL : list);
}

static void do_protocol(struct connection *connection, struct text text)
{
    const WebSocketServer *server = connection->server;

    send_string_or_none(server, server->protocol_index(server, (size_t)next_number(&text)));
}

static void do_request(struct connection *connection, struct text text)
{
    const WebSocketServer *server = connection->server;

    (void)text;
    send_string(server, server->request(server) == NULL ? "no" : "yes");
}

/* ---- Closing --------------------------------------------------------------------------------- */

static void do_close(struct connection *connection, struct text text)
{
    const WebSocketServer *server = connection->server;
    unsigned char payload[125]; /* the most a control frame may carry */
    size_t reason_size;
    long code;

    if (text.size == 0) {
        server->close(server);
        return;
    }
    code = next_number(&text);
    reason_size = text.size < sizeof(payload) - 2 ? text.size : sizeof(payload) - 2;
    payload[0] = (unsigned char)(code >> 8 & 0xff);
    payload[1] = (unsigned char)(code & 0xff);
    memcpy(payload + 2, text.bytes, reason_size);
    server->send(server, MESSAGE_TYPE_CLOSE, payload, reason_size + 2);
}

static void do_close_empty(struct connection *connection, struct text text)
{
    (void)text;
    connection->server->send(connection->server, MESSAGE_TYPE_CLOSE, NULL, 0);
}

/* ---- Threads and time ------------------------------------------------------------------------ */

static void do_threads(struct connection *connection, struct text text)
{
    long workers = next_number(&text);

    start_workers(&connection->workers, connection->server, send_numbers, workers,
                  next_number(&text));
}

static void do_hangup(struct connection *connection, struct text text)
{
    start_workers(&connection->workers, connection->server, hang_up, next_number(&text), 0);
}

static void do_block(struct connection *connection, struct text text)
{
    block(next_number(&text));
    send_string(connection->server, "unblocked");
}

static void do_linger(struct connection *connection, struct text text)
{
    connection->linger_ms = next_number(&text);
    send_string(connection->server, "lingering");
}

/* ---- Tables that outlive their connection ---------------------------------------------------- */

/* The address of the table of this process' first connection, or 0 before there is one. */
static atomic_uintptr_t first_table;

static void remember_first_table(const WebSocketServer *server)
{
    uintptr_t none = 0;

    atomic_compare_exchange_strong(&first_table, &none, (uintptr_t)server);
}

/*
 * Some plugins keep the table of an earlier connection and use it for later ones. That works if
 * each process serves one connection at a time (prefork MPM), because all its connections have the
 * same table. Otherwise the old table may be freed, so it is used only if it is the current one.
 */
static void do_stale(struct connection *connection, struct text text)
{
    uintptr_t first = atomic_load(&first_table);

    if (first == (uintptr_t)connection->server) {
        send_text((const WebSocketServer *)first, text);
    } else {
        send_string(connection->server, "(another table)");
    }
}

#endif /* KITCHEN_SINK_COMMANDS_H */
