/*
 * Rooms. A message "join NAME" puts its sender into a room, and the answer is the number of the
 * process: rooms do not reach beyond it. Every other message goes to all in the sender's room, the
 * sender among them.
 */

#include "journal.h"

#include <stdlib.h>

struct member {
    const WebSocketServer *server;
    char room[32];
    struct member *next, **place;
};

/* Locked for reading while sending. */
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct member *members;

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    struct member *member = calloc(1, sizeof(*member));

    member->server = server;
    pthread_rwlock_wrlock(&lock);
    member->next = members;
    member->place = &members;
    if (members != NULL) {
        members->place = &member->next;
    }
    members = member;
    pthread_rwlock_unlock(&lock);
    return member;
}

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    struct member *sender = private;
    char text[64] = "";
    char name[sizeof(sender->room)];

    memcpy(text, buffer, size < sizeof(text) ? size : sizeof(text) - 1);
    if (type == MESSAGE_TYPE_TEXT && sscanf(text, "join %31s", name) == 1) {
        pthread_rwlock_wrlock(&lock);
        memcpy(sender->room, name, sizeof(name));
        pthread_rwlock_unlock(&lock);
        snprintf(text, sizeof(text), "%ld", (long)getpid());
        return say(server, text);
    }
    pthread_rwlock_rdlock(&lock);
    for (struct member *member = members; member != NULL; member = member->next) {
        if (strcmp(member->room, sender->room) == 0) {
            member->server->send(member->server, type, buffer, size);
        }
    }
    pthread_rwlock_unlock(&lock);
    return size;
}

static void CALLBACK on_disconnect(void *private, const WebSocketServer *server)
{
    struct member *member = private;

    (void)server;
    pthread_rwlock_wrlock(&lock);
    *member->place = member->next;
    if (member->next != NULL) {
        member->next->place = member->place;
    }
    pthread_rwlock_unlock(&lock);
    free(member);
}

PLUGIN(room, on_connect, on_message, on_disconnect)
