/* Parsing and sending text. kitchen_sink.c includes this file. */

#ifndef KITCHEN_SINK_TEXT_H
#define KITCHEN_SINK_TEXT_H

#include <string.h>

#include "websocket_plugin.h"

/* A part of a message. It has no NUL at its end and may contain any bytes. */
struct text {
    unsigned char *bytes;
    size_t size;
};

/* Removes the text up to the next space, and the space, from `rest`. */
static struct text next_word(struct text *rest)
{
    struct text word = *rest;
    unsigned char *space = memchr(rest->bytes, ' ', rest->size);

    if (space == NULL) {
        rest->bytes += rest->size;
        rest->size = 0;
        return word;
    }
    word.size = (size_t)(space - word.bytes);
    rest->bytes = space + 1;
    rest->size -= word.size + 1;
    return word;
}

/* Copies a text into `target` as a C string. Cuts it off if it does not fit. */
static const char *c_string(struct text text, char *target, size_t capacity)
{
    size_t length = text.size < capacity ? text.size : capacity - 1;

    memcpy(target, text.bytes, length);
    target[length] = '\0';
    return target;
}

/* The next word as a decimal number; 0 if it is not a number. */
static long next_number(struct text *rest)
{
    char digits[24];

    return strtol(c_string(next_word(rest), digits, sizeof(digits)), NULL, 10);
}

/* The value of a hexadecimal digit; 0 for any other character. */
static unsigned char hex_value(unsigned char digit)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *found = digit == '\0' ? NULL : strchr(digits, digit);

    return found == NULL ? 0 : (unsigned char)((found - digits) % 16);
}

static size_t send_text(const WebSocketServer *server, struct text text)
{
    return server->send(server, MESSAGE_TYPE_TEXT, text.bytes, text.size);
}

static size_t send_string(const WebSocketServer *server, const char *string)
{
    return server->send(server, MESSAGE_TYPE_TEXT, (const unsigned char *)string, strlen(string));
}

static void send_string_or_none(const WebSocketServer *server, const char *string)
{
    send_string(server, string == NULL ? "(none)" : string);
}

#endif /* KITCHEN_SINK_TEXT_H */
