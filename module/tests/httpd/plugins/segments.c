/*
 * Sends every message to all connections of this process. A message "count" is answered with the number
 * of TCP segments with data that all of them have been sent so far: with TCP_NODELAY every write to a
 * client that has room makes one.
 */

#include <http_core.h>
#include <http_protocol.h>
#include <httpd.h>
#include <linux/tcp.h>
#include <sys/socket.h>

#include <apr_portable.h>

#include "journal.h"

#define MOST_CONNECTIONS 128

/* Held while sending, for writing only where a connection comes or goes. */
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static const WebSocketServer *connections[MOST_CONNECTIONS];

static void replace(const WebSocketServer *old, const WebSocketServer *new)
{
    unsigned place = 0;

    pthread_rwlock_wrlock(&lock);
    while (place < MOST_CONNECTIONS - 1 && connections[place] != old) {
        place++;
    }
    connections[place] = new;
    pthread_rwlock_unlock(&lock);
}

static unsigned segments_of(const WebSocketServer *server)
{
    apr_socket_t *socket = ap_get_conn_socket(server->request(server)->connection);
    struct tcp_info info;
    socklen_t length = sizeof(info);
    apr_os_sock_t descriptor;

    memset(&info, 0, sizeof(info));
    if (apr_os_sock_get(&descriptor, socket) != APR_SUCCESS ||
        getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) {
        return 0;
    }
    return info.tcpi_data_segs_out;
}

static unsigned segments(void)
{
    unsigned sum = 0;

    pthread_rwlock_rdlock(&lock);
    for (unsigned place = 0; place < MOST_CONNECTIONS; place++) {
        if (connections[place] != NULL) {
            sum += segments_of(connections[place]);
        }
    }
    pthread_rwlock_unlock(&lock);
    return sum;
}

static void *CALLBACK on_connect(const WebSocketServer *server)
{
    replace(NULL, server);
    return (void *)server;
}

static size_t CALLBACK on_message(void *private, const WebSocketServer *server, const int type,
                                  unsigned char *buffer, const size_t size)
{
    (void)private;
    if (size == 5 && memcmp(buffer, "count", size) == 0) {
        char answer[32];

        snprintf(answer, sizeof(answer), "%u", segments());
        return say(server, answer);
    }
    pthread_rwlock_rdlock(&lock);
    for (unsigned place = 0; place < MOST_CONNECTIONS; place++) {
        if (connections[place] != NULL) {
            connections[place]->send(connections[place], type, buffer, size);
        }
    }
    pthread_rwlock_unlock(&lock);
    return size;
}

static void CALLBACK on_disconnect(void *private, const WebSocketServer *server)
{
    (void)private;
    replace(server, NULL);
}

PLUGIN(segments, on_connect, on_message, on_disconnect)
