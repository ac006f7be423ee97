/*
 * For `cargo xtask bench --fanout`: every message goes to all connections, the sender's included.
 * `fanout_init` sends in the callback, `fanout_thread_init` has a thread of its own do that.
 */

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "websocket_plugin.h"

struct member {
    const WebSocketServer *server;
    size_t place; /* in the list */
};

/* A message that waits for the thread. */
struct message {
    struct message *next;
    int type;
    size_t size;
    unsigned char payload[];
};

/* Connections come and go with the lock held for writing; senders share it. */
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct member **members;
static size_t count, room;

static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queue_changed = PTHREAD_COND_INITIALIZER;
static struct message *first, **end = &first;
static bool is_running, is_stopping;
static pthread_t thread;

static void send_to_all(int type, const unsigned char *payload, size_t size)
{
    pthread_rwlock_rdlock(&lock);
    for (size_t place = 0; place < count; place++) {
        const WebSocketServer *server = members[place]->server;

        server->send(server, type, payload, size);
    }
    pthread_rwlock_unlock(&lock);
}

/* Whether there was memory for it. Called with the lock held for writing. */
static bool add(struct member *member)
{
    if (count == room) {
        size_t more = room == 0 ? 64 : 2 * room;
        struct member **larger = realloc(members, more * sizeof(*larger));

        if (larger == NULL) {
            return false;
        }
        members = larger;
        room = more;
    }
    member->place = count;
    members[count++] = member;
    return true;
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    struct member *member = malloc(sizeof(*member));
    bool is_added;

    if (member == NULL) {
        return NULL;
    }
    member->server = server;
    pthread_rwlock_wrlock(&lock);
    is_added = add(member);
    pthread_rwlock_unlock(&lock);
    if (!is_added) {
        free(member);
        return NULL;
    }
    return member;
}

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    (void)private;
    (void)server;
    send_to_all(type, buffer, size);
    return size;
}

/* The last of the list takes the place of the one that leaves. */
static void CALLBACK on_disconnect(void *private, const WebSocketServer *server)
{
    struct member *member = private;

    (void)server;
    pthread_rwlock_wrlock(&lock);
    members[member->place] = members[--count];
    members[member->place]->place = member->place;
    pthread_rwlock_unlock(&lock);
    free(member);
}

static void *run(void *argument)
{
    (void)argument;
    pthread_mutex_lock(&queue_lock);
    for (;;) {
        struct message *message;

        while (first == NULL && !is_stopping) {
            pthread_cond_wait(&queue_changed, &queue_lock);
        }
        if (first == NULL) {
            break;
        }
        message = first;
        first = message->next;
        if (first == NULL) {
            end = &first;
        }
        pthread_mutex_unlock(&queue_lock);
        send_to_all(message->type, message->payload, message->size);
        free(message);
        pthread_mutex_lock(&queue_lock);
    }
    pthread_mutex_unlock(&queue_lock);
    return NULL;
}

/* The first message starts the thread: init runs in httpd's parent process too. */
static size_t CALLBACK hand_over(void *private, const WebSocketServer *server, const int type,
                                 unsigned char *buffer, const size_t size)
{
    struct message *message = malloc(sizeof(*message) + size);

    (void)private;
    (void)server;
    if (message == NULL) {
        return 0;
    }
    message->next = NULL;
    message->type = type;
    message->size = size;
    memcpy(message->payload, buffer, size);
    pthread_mutex_lock(&queue_lock);
    *end = message;
    end = &message->next;
    if (!is_running) {
        is_running = pthread_create(&thread, NULL, run, NULL) == 0;
    }
    pthread_cond_signal(&queue_changed);
    pthread_mutex_unlock(&queue_lock);
    return size;
}

static void CALLBACK destroy(WebSocketPlugin *plugin)
{
    bool was_running;

    (void)plugin;
    pthread_mutex_lock(&queue_lock);
    was_running = is_running;
    is_running = false;
    is_stopping = true;
    pthread_cond_signal(&queue_changed);
    pthread_mutex_unlock(&queue_lock);
    if (was_running) {
        pthread_join(thread, NULL);
    }
    is_stopping = false;
}

static WebSocketPlugin in_callback = {
    .size = sizeof(WebSocketPlugin),
    .version = WEBSOCKET_PLUGIN_VERSION_0,
    .on_connect = on_connect,
    .on_message = on_message,
    .on_disconnect = on_disconnect,
};

static WebSocketPlugin in_thread = {
    .size = sizeof(WebSocketPlugin),
    .version = WEBSOCKET_PLUGIN_VERSION_0,
    .destroy = destroy,
    .on_connect = on_connect,
    .on_message = hand_over,
    .on_disconnect = on_disconnect,
};

EXPORT WebSocketPlugin *CALLBACK fanout_init(void)
{
    return &in_callback;
}

EXPORT WebSocketPlugin *CALLBACK fanout_thread_init(void)
{
    return &in_thread;
}
