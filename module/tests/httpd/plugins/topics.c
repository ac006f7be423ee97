/*
 * Uses topics. Its commands have one letter, then what they are about: "+TOPIC" subscribes,
 * "*TOPIC" does so with envelopes, "-TOPIC" ends that, "!TEXT" publishes to the topic "c/room",
 * "?TEXT" does so from a thread, "#TOPIC" counts. Each is answered with "= RESULT".
 */

#include "journal.h"

static const char ROOM[] = "c/room";

struct job {
    const WebSocketTopics *topics;
    const unsigned char *text;
    size_t length;
    int result;
};

static void *publish_in_thread(void *argument)
{
    struct job *job = argument;

    job->result = job->topics->publish(job->topics, ROOM, strlen(ROOM), MESSAGE_TYPE_TEXT,
                                       job->text, job->length, NULL);
    return NULL;
}

static int run(const WebSocketServer *server, const char command, const unsigned char *text,
               const size_t length)
{
    const char *topic = (const char *)text;
    WebSocketSubscription subscription;
    WebSocketPublication publication;
    WebSocketNumber count = 0;
    struct job job = {NULL, text, length, -1};
    pthread_t thread;

    memset(&subscription, 0, sizeof(subscription));
    subscription.size = sizeof(subscription);
    subscription.flags = WEBSOCKET_SUBSCRIBE_ENVELOPE;
    memset(&publication, 0, sizeof(publication));
    publication.size = sizeof(publication);
    publication.flags = WEBSOCKET_PUBLISH_JSON;
    switch (command) {
    case '+':
        return WEBSOCKET_SUBSCRIBE(server)(server, topic, length, NULL);
    case '*':
        return WEBSOCKET_SUBSCRIBE(server)(server, topic, length, &subscription);
    case '-':
        return WEBSOCKET_UNSUBSCRIBE(server)(server, topic, length);
    case '!':
        return WEBSOCKET_PUBLISH(server)(server, ROOM, strlen(ROOM), MESSAGE_TYPE_TEXT, text,
                                         length, &publication);
    case '?':
        job.topics = WEBSOCKET_TOPICS(server)(server);
        pthread_create(&thread, NULL, publish_in_thread, &job);
        pthread_join(thread, NULL);
        return job.result;
    case '#':
        job.topics = WEBSOCKET_TOPICS(server)(server);
        job.result = job.topics->count(job.topics, topic, length, &count);
        return job.result == WEBSOCKET_TOPIC_OK ? (int)(100 + count) : job.result;
    default:
        /* Nothing else can be published. */
        return WEBSOCKET_PUBLISH(server)(server, ROOM, strlen(ROOM), MESSAGE_TYPE_PING, text,
                                         length, NULL);
    }
}

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    char answer[32];
    int length;

    (void)private;
    (void)type;
    length = snprintf(answer, sizeof(answer), "= %d",
                      run(server, (char)buffer[0], buffer + 1, size - 1));
    server->send(server, MESSAGE_TYPE_TEXT, (unsigned char *)answer, (size_t)length);
    return size;
}

PLUGIN(topics, NULL, on_message, NULL)
