/*
 * Shared code of the plugins in these tests: lines in a file that the client names in the request
 * header X-Journal, numbers from request headers, and time.
 */

#ifndef JOURNAL_H
#define JOURNAL_H

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "websocket_plugin.h"

struct journal {
    char path[512];
};

static inline const char *header(const WebSocketServer *server, const char *name)
{
    const char *value = server->header_get(server, name);

    return value == NULL ? "" : value;
}

static inline long number(const WebSocketServer *server, const char *name)
{
    return strtol(header(server, name), NULL, 10);
}

static inline struct journal journal_of(const WebSocketServer *server)
{
    struct journal journal;

    snprintf(journal.path, sizeof(journal.path), "%s", header(server, "X-Journal"));
    return journal;
}

/* Appends a line, if there is a journal. */
static inline void note(const struct journal *journal, const char *what, long value)
{
    char line[128];
    int file = journal->path[0] == '\0' ? -1 : open(journal->path, O_WRONLY | O_APPEND);
    int length = value < 0 ? snprintf(line, sizeof(line), "%s\n", what)
                           : snprintf(line, sizeof(line), "%s %ld\n", what, value);

    if (file >= 0) {
        if (write(file, line, (size_t)length) != length) {
            perror(journal->path);
        }
        close(file);
    }
}

/* For note: a line without a number. */
#define NO_NUMBER (-1)

static inline long milliseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline void pause_ms(long ms)
{
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};

    while (nanosleep(&left, &left) != 0) {
        /* a signal interrupted the sleep: wait for the rest */
    }
}

static inline size_t say(const WebSocketServer *server, const char *text)
{
    return server->send(server, MESSAGE_TYPE_TEXT, (const unsigned char *)text, strlen(text));
}

/* A static table, and the init function that returns it. */
#define PLUGIN(name, connect, message, disconnect)                                                 \
    static WebSocketPlugin name##_plugin = {                                                       \
        .size = sizeof(WebSocketPlugin),                                                           \
        .version = WEBSOCKET_PLUGIN_VERSION_0,                                                     \
        .on_connect = connect,                                                                     \
        .on_message = message,                                                                     \
        .on_disconnect = disconnect,                                                               \
    };                                                                                             \
    EXPORT WebSocketPlugin *CALLBACK name##_init(void);                                            \
    EXPORT WebSocketPlugin *CALLBACK name##_init(void)                                             \
    {                                                                                              \
        return &name##_plugin;                                                                     \
    }

#endif /* JOURNAL_H */
