/*
 * The interface between mod_websocket and a plugin, for C and C++.
 *
 * A plugin is a shared library. It exports an init function, which the directive
 * `WebSocketHandler LIBRARY INIT` names:
 *
 *     EXPORT WebSocketPlugin *CALLBACK echo_init(void);
 *
 * init returns a WebSocketPlugin, the table of functions that the module calls. For each connection
 * the module passes a WebSocketServer to them, the table of functions that the plugin calls.
 *
 * Versions. Both tables grow only at their end. `size` gives the size of a table in bytes; do not
 * read a field that lies beyond it.
 *
 * Threads. The module never calls two callbacks of one connection at once. Callbacks of different
 * connections run in parallel, so shared data needs a lock. A plugin may call send, close, request,
 * header_get, protocol_count and protocol_index in every callback, and from any thread until
 * on_disconnect returns. send and close never wait for a callback, so a plugin may hold its own
 * locks while it calls them. But send may wait for the client, see WS_Send. A callback may block:
 * that delays only its own connection.
 *
 * Logging. To write to httpd's error log, use httpd's headers:
 *
 *     #include "httpd.h"
 *     #include "http_log.h"
 *     APLOG_USE_MODULE(websocket);
 *
 *     ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, server->request(server), "%s joined", name);
 *
 * The line contains the client's address, and `LogLevel websocket:LEVEL` of the request's section
 * decides whether httpd writes it. Without a connection (in init and destroy), call
 * ap_log_error(APLOG_MARK, APLOG_INFO, 0, NULL, ...). Never pass text from a client as the format.
 */

#ifndef WEBSOCKET_PLUGIN_H
#define WEBSOCKET_PLUGIN_H

#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * EXPORT, at the start of a declaration, makes the function visible outside of the library, also
 * with -fvisibility=hidden. In C++ it also gives the function C linkage, so that the symbol has the
 * name of the function. CALLBACK is the calling convention.
 */
#ifdef __cplusplus
#define WEBSOCKET_LINKAGE extern "C"
#else
#define WEBSOCKET_LINKAGE
#endif
#ifdef _WIN32
#define EXPORT WEBSOCKET_LINKAGE __declspec(dllexport)
#define CALLBACK __stdcall
#elif defined(__GNUC__) && __GNUC__ >= 4
#define EXPORT WEBSOCKET_LINKAGE __attribute__((visibility("default")))
#define CALLBACK
#else
#define EXPORT WEBSOCKET_LINKAGE
#define CALLBACK
#endif

/*
 * Message types. on_message gets only TEXT and BINARY. The module itself answers pings and close
 * frames, and ignores pongs.
 */
#define MESSAGE_TYPE_INVALID (-1) /* an invalid type; never received */
#define MESSAGE_TYPE_TEXT 0
#define MESSAGE_TYPE_BINARY 128
#define MESSAGE_TYPE_CLOSE 255 /* payload: status code in network byte order, then the reason */
#define MESSAGE_TYPE_PING 256
#define MESSAGE_TYPE_PONG 257

struct request_rec;      /* httpd's request, see httpd.h */
struct _WebSocketServer; /* defined below */
struct _WebSocketState;  /* private to the module */
struct _WebSocketPlugin; /* defined below */

/* ---- Functions that the plugin calls --------------------------------------------------------- */

/*
 * Returns httpd's request of the opening handshake. The pointer is valid until on_disconnect
 * returns. It is NULL if the table belongs to no connection.
 */
typedef struct request_rec *(CALLBACK *WS_Request)(const struct _WebSocketServer *server);

/*
 * Returns the value of a request header, or NULL if there is none. Valid until on_disconnect
 * returns.
 */
typedef const char *(CALLBACK *WS_Header_Get)(const struct _WebSocketServer *server,
                                              const char *key);

/*
 * Sets a header of the 101 response. The module copies key and value. Call it in on_connect: later
 * calls have no effect.
 */
typedef void (CALLBACK *WS_Header_Set)(const struct _WebSocketServer *server, const char *key,
                                       const char *value);

/* Returns the number of subprotocols that the client offers. */
typedef size_t (CALLBACK *WS_Protocol_Count)(const struct _WebSocketServer *server);

/*
 * Returns an offered subprotocol, counted from 0 in the client's order, or NULL if the index is out
 * of range. Valid until on_disconnect returns.
 */
typedef const char *(CALLBACK *WS_Protocol_Index)(const struct _WebSocketServer *server,
                                                  const size_t index);

/*
 * Sets the subprotocol that the 101 response names. Choose one that the client offers. The module
 * copies the text. Call it in on_connect: later calls have no effect.
 */
typedef void (CALLBACK *WS_Protocol_Set)(const struct _WebSocketServer *server,
                                         const char *protocol);

/*
 * Sends one message. The module copies the payload and sends it unchanged: it does not check that
 * TEXT is UTF-8. A type that is not listed above counts as MESSAGE_TYPE_CLOSE. Nothing is sent
 * after a close frame. Messages that are sent in on_connect follow the 101 response. In the
 * original C module such a call deadlocks: a plugin for that module sends from on_message or from a
 * thread of its own.
 *
 * Each connection has a queue of messages, so send usually returns at once. While 16 MiB or more
 * are in the queue, send waits until the client has taken some of them. If a client takes nothing
 * for httpd's `Timeout` (60 seconds by default), the module drops the connection, and send returns
 * 0. So one slow client can delay a thread that sends to many clients. In on_connect send never
 * waits: if the queue is full, it returns 0.
 *
 * Returns the number of payload bytes accepted: all of them, or 0 if the connection is closing or
 * gone. A length of 2 GiB or more is an error, and so is NULL with a length above 0: send then
 * returns 0 and the module logs an error.
 */
typedef size_t (CALLBACK *WS_Send)(const struct _WebSocketServer *server, const int type,
                                   const unsigned char *buffer, const size_t buffer_size);

/*
 * Starts the closing handshake with a close frame without a status code. To send a status code,
 * send a MESSAGE_TYPE_CLOSE. Closing again has no effect.
 */
typedef void (CALLBACK *WS_Close)(const struct _WebSocketServer *server);

#define WEBSOCKET_SERVER_VERSION_1 1

/* The module's table for one connection. */
typedef struct _WebSocketServer {
    unsigned int size;             /* size of the whole table in bytes */
    unsigned int version;          /* WEBSOCKET_SERVER_VERSION_1 */
    struct _WebSocketState *state; /* private to the module */
    WS_Request request;
    WS_Header_Get header_get;
    WS_Header_Set header_set;
    WS_Protocol_Count protocol_count;
    WS_Protocol_Index protocol_index;
    WS_Protocol_Set protocol_set;
    WS_Send send;
    WS_Close close;
} WebSocketServer;

/*
 * Sends one message, like send, but never waits for the client. Returns WEBSOCKET_SEND_ACCEPTED, or
 * WEBSOCKET_SEND_CLOSED if the connection is closing or gone, or WEBSOCKET_SEND_FULL if send would
 * have to wait: no part of the message has then been queued or sent. It may be called wherever send
 * may be called, also in on_connect. MESSAGE_TYPE_CLOSE always has room.
 *
 * Use it to send to many clients without waiting for a slow one. For a slow client, skip messages
 * or close the connection.
 */
typedef int (CALLBACK *WS_Try_Send)(const struct _WebSocketServer *server, const int type,
                                    const unsigned char *buffer, const size_t buffer_size);

#define WEBSOCKET_SEND_ACCEPTED 0
#define WEBSOCKET_SEND_CLOSED 1
#define WEBSOCKET_SEND_FULL 2

/*
 * The fields that newer modules have after the table, as far as they are for C. More may follow.
 * The size of the table shows whether they exist: use WEBSOCKET_TRY_SEND.
 */
typedef struct _WebSocketServerTable {
    WebSocketServer base;
    void (*for_rust[5])(void); /* not for plugins in C */
    WS_Try_Send try_send;
} WebSocketServerTable;

/*
 * The function of type WS_Try_Send, or NULL if the module does not have it, like the original C
 * module. In that case call send:
 *
 *     WS_Try_Send try_send = WEBSOCKET_TRY_SEND(server);
 *
 *     if (try_send != NULL) {
 *         result = try_send(server, MESSAGE_TYPE_TEXT, text, length);
 *     } else {
 *         server->send(server, MESSAGE_TYPE_TEXT, text, length);
 *     }
 */
#define WEBSOCKET_TRY_SEND(server)                        \
    ((server)->size >= sizeof(WebSocketServerTable)       \
         ? ((const WebSocketServerTable *)(server))->try_send \
         : (WS_Try_Send)NULL)

/* ---- Topics ---------------------------------------------------------------------------------- */

/*
 * Whoever has subscribed to a topic gets what is published to it, in whatever process of httpd the
 * connection is; each message once, and all in the same order. Nobody waits for a client: one that
 * does not keep up is closed with 1013.
 *
 * The name of a topic has 1 to 255 bytes of UTF-8, in segments with slashes between them, such as
 * "chat/lobby". What is subscribed to may end with the segment "*", for any one segment, or "**",
 * for one or more. Names need no NUL at their end; their length comes with them.
 */

#define WEBSOCKET_TOPIC_OK 0
#define WEBSOCKET_TOPIC_CLOSED 1      /* the connection is closing or gone */
#define WEBSOCKET_TOPIC_INVALID 2     /* this is no topic, or no type of message */
#define WEBSOCKET_TOPIC_LIMIT 3       /* as many subscriptions as WebSocketMaxTopics allows */
#define WEBSOCKET_TOPIC_TOO_LARGE 4   /* longer than 1/32 of WebSocketTopicMemory, or than
                                      the broker takes */
#define WEBSOCKET_TOPIC_UNAVAILABLE 5 /* httpd's error log says why */

/* 64 bits, which C89 has no name for. */
#if defined(__GNUC__)
__extension__ typedef unsigned long long WebSocketNumber;
#else
typedef unsigned long long WebSocketNumber;
#endif

/*
 * The place of a message among those of its topic, where WebSocketTopicHistory is on. All zeros:
 * there is none.
 */
typedef struct _WebSocketPosition {
    WebSocketNumber epoch;  /* differs when the history has begun anew */
    WebSocketNumber offset; /* counts the messages of the topic, from 1 */
} WebSocketPosition;

#define WEBSOCKET_SUBSCRIBE_ENVELOPE 1 /* messages come as JSON, with topic and position */
#define WEBSOCKET_SUBSCRIBE_SINCE 2    /* first come the messages after `since` */

#define WEBSOCKET_RECOVERY_NONE 0     /* nothing was asked for, or there is no history */
#define WEBSOCKET_RECOVERY_COMPLETE 1 /* all messages since then follow */
#define WEBSOCKET_RECOVERY_GAP 2      /* some of them are gone; none follows */

/* How to subscribe, and what came of it. Set everything to zero, then `size`. */
typedef struct _WebSocketSubscription {
    unsigned int size;  /* sizeof(WebSocketSubscription) */
    unsigned int flags; /* WEBSOCKET_SUBSCRIBE_... */
    WebSocketPosition since;
    const unsigned char *info; /* what others see of the client, or NULL; UTF-8 */
    size_t info_length;
    WebSocketPosition position; /* set by the module: the newest message of the topic */
    int recovery;               /* set by the module: WEBSOCKET_RECOVERY_... */
    unsigned int recovered;     /* set by the module: so many messages follow */
} WebSocketSubscription;

#define WEBSOCKET_PUBLISH_JSON 1 /* the text is JSON */

/* How to publish, and what came of it. Set everything to zero, then `size`. */
typedef struct _WebSocketPublication {
    unsigned int size;          /* sizeof(WebSocketPublication) */
    unsigned int flags;         /* WEBSOCKET_PUBLISH_... */
    WebSocketPosition position; /* set by the module */
} WebSocketPublication;

/*
 * Sends the client all messages of a topic from now on, or of those that a pattern describes. The
 * last argument may be NULL. Returns a WEBSOCKET_TOPIC_... Like send, it may be called in
 * on_connect, and by any thread until on_disconnect returns. All subscriptions end with the
 * connection.
 */
typedef int (CALLBACK *WS_Subscribe)(const struct _WebSocketServer *server, const char *topic,
                                     const size_t topic_length,
                                     WebSocketSubscription *subscription);

/* Ends a subscription, if there is one. Returns a WEBSOCKET_TOPIC_... */
typedef int (CALLBACK *WS_Unsubscribe)(const struct _WebSocketServer *server, const char *topic,
                                       const size_t topic_length);

/*
 * Sends a message, MESSAGE_TYPE_TEXT or MESSAGE_TYPE_BINARY, to all that have subscribed to a topic,
 * also to the client itself if it has. It waits for no client. The last argument may be NULL.
 * Returns a WEBSOCKET_TOPIC_... It may be called wherever send may be called.
 */
typedef int (CALLBACK *WS_Publish)(const struct _WebSocketServer *server, const char *topic,
                                   const size_t topic_length, const int type,
                                   const unsigned char *buffer, const size_t buffer_size,
                                   WebSocketPublication *publication);

/*
 * The topics of the connection's virtual host, for any thread: it may use them until destroy
 * returns. They begin with these fields; size tells whether there are more.
 */
typedef struct _WebSocketTopics {
    unsigned int size;
    unsigned int version;
    const void *state; /* private to the module */
    int (CALLBACK *publish)(const struct _WebSocketTopics *topics, const char *topic,
                            const size_t topic_length, const int type,
                            const unsigned char *buffer, const size_t buffer_size,
                            WebSocketPublication *publication);
    /* How many have subscribed to this topic, in all processes. */
    int (CALLBACK *count)(const struct _WebSocketTopics *topics, const char *topic,
                          const size_t topic_length, WebSocketNumber *count);
} WebSocketTopics;

typedef const WebSocketTopics *(CALLBACK *WS_Topics)(const struct _WebSocketServer *server);

/*
 * The fields that newer modules have after those for WS_Try_Send. Ask for the functions with the
 * macros below: they are NULL if the module does not have them.
 */
typedef struct _WebSocketTopicServer {
    WebSocketServerTable table;
    void (*for_rust[1])(void); /* not for plugins in C */
    WS_Subscribe subscribe;
    WS_Unsubscribe unsubscribe;
    WS_Publish publish;
    WS_Topics topics;
} WebSocketTopicServer;

#define WEBSOCKET_TOPIC_FUNCTION(server, type, name)          \
    ((server)->size >= sizeof(WebSocketTopicServer)           \
         ? ((const WebSocketTopicServer *)(server))->name     \
         : (type)NULL)

#define WEBSOCKET_SUBSCRIBE(server) WEBSOCKET_TOPIC_FUNCTION(server, WS_Subscribe, subscribe)
#define WEBSOCKET_UNSUBSCRIBE(server) WEBSOCKET_TOPIC_FUNCTION(server, WS_Unsubscribe, unsubscribe)
#define WEBSOCKET_PUBLISH(server) WEBSOCKET_TOPIC_FUNCTION(server, WS_Publish, publish)
#define WEBSOCKET_TOPICS(server) WEBSOCKET_TOPIC_FUNCTION(server, WS_Topics, topics)

/* ---- The end of a connection ------------------------------------------------------------------ */

#define WEBSOCKET_CLOSED_BY_CLIENT 0
#define WEBSOCKET_CLOSED_BY_PLUGIN 1
#define WEBSOCKET_CLOSED_BY_ERROR 2    /* the client broke a rule, or something failed */
#define WEBSOCKET_CLOSED_BY_TIMEOUT 3  /* the client took too long */
#define WEBSOCKET_CLOSED_BY_DRAIN 4    /* the process is being replaced */
#define WEBSOCKET_CLOSED_BY_LIMIT 5    /* the client exceeded a limit */
#define WEBSOCKET_CLOSED_BY_SHUTDOWN 6 /* httpd stops */
#define WEBSOCKET_CLOSED_BY_NOBODY 7   /* the network connection ended without a close frame */

/* How a connection ended. Set `size`; the module sets the rest. */
typedef struct _WebSocketEnding {
    unsigned int size;          /* sizeof(WebSocketEnding) */
    int closed_by;              /* WEBSOCKET_CLOSED_BY_... */
    int code;                   /* of the first close frame; 1005: it had none, 1006: no frame */
    int is_clean;               /* not 0: both sides sent a close frame */
    unsigned int reason_length; /* without the NUL at its end */
    char reason[124];           /* of the first close frame, UTF-8; often empty */
} WebSocketEnding;

/*
 * Tells in on_disconnect how the connection ended. Returns 1, or 0 if the connection has not ended
 * or the struct is too small; the module then changes nothing.
 */
typedef int (CALLBACK *WS_Ending)(const struct _WebSocketServer *server, WebSocketEnding *ending);

/*
 * The bytes that wait to be sent to the client. It may be called wherever send may be called.
 */
typedef size_t (CALLBACK *WS_Buffered)(const struct _WebSocketServer *server);

/*
 * The fields that newer modules have after those for topics. Ask for the functions with the macros
 * below: they are NULL if the module does not have them.
 */
typedef struct _WebSocketEndingServer {
    WebSocketTopicServer topics;
    WS_Ending ending;
    WS_Buffered buffered;
} WebSocketEndingServer;

#define WEBSOCKET_ENDING_FUNCTION(server, type, name)         \
    ((server)->size >= sizeof(WebSocketEndingServer)          \
         ? ((const WebSocketEndingServer *)(server))->name    \
         : (type)NULL)

#define WEBSOCKET_ENDING(server) WEBSOCKET_ENDING_FUNCTION(server, WS_Ending, ending)
#define WEBSOCKET_BUFFERED(server) WEBSOCKET_ENDING_FUNCTION(server, WS_Buffered, buffered)

/* ---- Flow control ---------------------------------------------------------------------------- */

/*
 * With `paused` not 0: from now on no on_message of this connection begins, except one that begins
 * at this moment on another thread. Nothing is read from the client, which then has to wait. With 0,
 * the messages that waited come, in order. Pausing twice is the same as once. It may be called
 * wherever send may be called. Returns 1, or 0 if the connection is closing or gone.
 *
 * A paused client gets no pong for its pings, and its close frame is not noticed. The module goes on
 * to ping it, and counts it as alive if its system takes that. WebSocketIdleTimeout and
 * WebSocketMessageTimeout do not run. Closing works as usual; what the client still sends is dropped.
 */
typedef int (CALLBACK *WS_Pause)(const struct _WebSocketServer *server, int paused);

/*
 * Called when a message was refused by WEBSOCKET_TRY_SEND, or send had to wait, because the queue was
 * full, and half of it is free again. It is called like the other callbacks of the connection, never
 * beside one of them, and once for each time that the queue was full.
 */
typedef void (CALLBACK *WS_OnDrain)(void *plugin_private, const struct _WebSocketServer *server);

/* Sets that callback for this connection, usually in on_connect. NULL: none. */
typedef void (CALLBACK *WS_Set_OnDrain)(const struct _WebSocketServer *server,
                                        WS_OnDrain on_drain);

/*
 * The fields that newer modules have after those for the end of a connection. Ask for the functions
 * with the macros below: they are NULL if the module does not have them.
 */
typedef struct _WebSocketFlowServer {
    WebSocketEndingServer ending;
    WS_Pause pause;
    WS_Set_OnDrain on_drain;
} WebSocketFlowServer;

#define WEBSOCKET_FLOW_FUNCTION(server, type, name)           \
    ((server)->size >= sizeof(WebSocketFlowServer)            \
         ? ((const WebSocketFlowServer *)(server))->name      \
         : (type)NULL)

#define WEBSOCKET_PAUSE(server) WEBSOCKET_FLOW_FUNCTION(server, WS_Pause, pause)
#define WEBSOCKET_ON_DRAIN(server) WEBSOCKET_FLOW_FUNCTION(server, WS_Set_OnDrain, on_drain)

/* ---- Events ---------------------------------------------------------------------------------- */

#define WEBSOCKET_POST_ACCEPTED 0
#define WEBSOCKET_POST_CLOSED 1 /* the connection is gone */
#define WEBSOCKET_POST_FULL 2   /* 1024 events wait, or as many timers */

/*
 * Handles an event. It is called like the other callbacks of the connection, never beside one of
 * them, by any thread.
 */
typedef void (CALLBACK *WS_OnEvent)(void *plugin_private, const struct _WebSocketServer *server,
                                    void *event);

/* Frees an event that nobody handles, because the connection has ended before. */
typedef void (CALLBACK *WS_Discard)(void *event);

/*
 * Has an event handled after so many milliseconds; 0: soon. With a delay it is late by up to an eighth
 * of it, half a second at most. Returns a WEBSOCKET_POST_... An event that is accepted is either
 * handled or discarded, once; the plugin keeps one that is not. on_event must not be NULL; discard may
 * be. It may be called wherever send may be called, and waits for nothing.
 */
typedef int (CALLBACK *WS_Post)(const struct _WebSocketServer *server, WebSocketNumber milliseconds,
                                WS_OnEvent on_event, WS_Discard discard, void *event);

/*
 * The fields that newer modules have after those for flow control. The macro is NULL if the module
 * does not have the function.
 */
typedef struct _WebSocketEventServer {
    WebSocketFlowServer flow;
    WS_Post post;
} WebSocketEventServer;

#define WEBSOCKET_POST(server)                                \
    ((server)->size >= sizeof(WebSocketEventServer)           \
         ? ((const WebSocketEventServer *)(server))->post     \
         : (WS_Post)NULL)

/* ---- Variables -------------------------------------------------------------------------------- */

/*
 * One of httpd's variables for the request ("SSL_CLIENT_S_DN"), or NULL. It may be called, and the
 * text is valid, during on_connect; later it returns NULL. Plugins with the headers of httpd can ask
 * the request itself.
 */
typedef const char *(CALLBACK *WS_Variable)(const struct _WebSocketServer *server, const char *name);

/*
 * The fields that newer modules have after those for events. The macro is NULL if the module does not
 * have the function.
 */
typedef struct _WebSocketVariableServer {
    WebSocketEventServer events;
    WS_Variable variable;
} WebSocketVariableServer;

#define WEBSOCKET_VARIABLE(server)                               \
    ((server)->size >= sizeof(WebSocketVariableServer)           \
         ? ((const WebSocketVariableServer *)(server))->variable \
         : (WS_Variable)NULL)

/* ---- Messages in parts ------------------------------------------------------------------------ */

/*
 * Receives the next part of a message. The buffer is like that of on_message. is_last is not 0 in the
 * last part of a message. Only that one may be empty. A part of a text ends between two characters. A
 * part has at most 128 KiB, and nothing more is read from the client before this returns. If the
 * connection ends in the middle of a message, on_disconnect is next.
 */
typedef void (CALLBACK *WS_OnPart)(void *plugin_private, const struct _WebSocketServer *server,
                                   const int type, unsigned char *buffer, const size_t buffer_size,
                                   const int is_last);

/*
 * Has the messages of this connection come in parts, and none of them to on_message. NULL: they come
 * whole. It must be called in on_connect: it returns 1, or 0 if it is too late.
 */
typedef int (CALLBACK *WS_Set_OnPart)(const struct _WebSocketServer *server, WS_OnPart on_part);

/*
 * The fields that newer modules have after those for variables. The macro is NULL if the module does
 * not have the function.
 */
typedef struct _WebSocketPartServer {
    WebSocketVariableServer variables;
    WS_Set_OnPart on_part;
} WebSocketPartServer;

#define WEBSOCKET_ON_PART(server)                             \
    ((server)->size >= sizeof(WebSocketPartServer)            \
         ? ((const WebSocketPartServer *)(server))->on_part   \
         : (WS_Set_OnPart)NULL)

/* ---- Metrics --------------------------------------------------------------------------------- */

#define WEBSOCKET_METRIC_COUNTER 0   /* a number that only grows */
#define WEBSOCKET_METRIC_GAUGE 1     /* a number that grows and shrinks */
#define WEBSOCKET_METRIC_HISTOGRAM 2 /* how many values were in which range */

#define WEBSOCKET_METRIC_OK 0
#define WEBSOCKET_METRIC_INVALID 1     /* httpd's error log says what is wrong */
#define WEBSOCKET_METRIC_FULL 2        /* there is no room for another series */
#define WEBSOCKET_METRIC_UNAVAILABLE 3 /* this is httpd's parent process, which counts nothing */

/* A label of a series. The texts are UTF-8 and need no NUL at the end. */
typedef struct _WebSocketMetricLabel {
    const char *name;
    size_t name_length;
    const char *value;
    size_t value_length;
} WebSocketMetricLabel;

/*
 * A series of a metric. Set everything to zero, then `size`. Names have ASCII letters, digits and
 * underscores, at most 64 bytes; `help` says in a sentence what the metric means. OpenMetrics shows
 * it as websocket_plugin_PLUGIN_NAME.
 */
typedef struct _WebSocketMetric {
    unsigned int size; /* sizeof(WebSocketMetric) */
    int kind;          /* WEBSOCKET_METRIC_... */
    const char *plugin;
    size_t plugin_length;
    const char *name;
    size_t name_length;
    const char *help;
    size_t help_length;
    const double *bounds; /* of a histogram: the upper bounds of the ranges, in ascending order */
    size_t bound_count;
    const WebSocketMetricLabel *labels;
    size_t label_count;
    /*
     * Set by the module: the numbers of this process, valid until it ends. Change them by atomic
     * operations. A counter and a gauge have one. A histogram has the bits of the sum as a double,
     * the count of each range, and the count of what is above all bounds.
     */
    WebSocketNumber *cells;
} WebSocketMetric;

/*
 * Finds or adds a series, and sets `cells`. The status page and OpenMetrics show the sum over all
 * processes. Returns a WEBSOCKET_METRIC_... Any thread may call it, with the table of any connection.
 */
typedef int (CALLBACK *WS_Metric)(const struct _WebSocketServer *server, WebSocketMetric *metric);

/*
 * The fields that newer modules have after those for parts. The macro is NULL if the module does
 * not have the function.
 */
typedef struct _WebSocketMetricServer {
    WebSocketPartServer parts;
    WS_Metric metric;
} WebSocketMetricServer;

#define WEBSOCKET_METRIC(server)                             \
    ((server)->size >= sizeof(WebSocketMetricServer)         \
         ? ((const WebSocketMetricServer *)(server))->metric \
         : (WS_Metric)NULL)

/* Adds to a counter or a gauge, with GCC or Clang. `cells` may be NULL: then it does nothing. */
#if defined(__GNUC__)
#define WEBSOCKET_METRIC_ADD(cells, more) \
    ((cells) != NULL ? (void)__atomic_fetch_add((cells), (more), __ATOMIC_RELAXED) : (void)0)
#endif

/* ---- Messages that are written piece by piece ------------------------------------------------- */

#define WEBSOCKET_SEND_BUSY 3 /* another message is being written */

#define WEBSOCKET_WRITE_MORE 0  /* more of the message follows */
#define WEBSOCKET_WRITE_FLUSH 1 /* more follows, but what was written so far is sent now */
#define WEBSOCKET_WRITE_END 2   /* the message ends here */

/*
 * Begins a message, MESSAGE_TYPE_TEXT or MESSAGE_TYPE_BINARY. Other messages to the client wait until
 * it has ended, as many as fit into WebSocketSendQueue; pings and close frames do not wait. So it must
 * be ended with WEBSOCKET_WRITE_END, or the connection be closed: the module closes it if another
 * message is sent or begun when nothing was written for the Timeout of httpd. Returns
 * WEBSOCKET_SEND_ACCEPTED, WEBSOCKET_SEND_CLOSED or WEBSOCKET_SEND_BUSY. It may be called wherever
 * send may be called.
 */
typedef int (CALLBACK *WS_Begin)(const struct _WebSocketServer *server, const int type);

/*
 * Adds bytes to the message that was begun; the buffer may be NULL if buffer_size is 0. how is one of
 * WEBSOCKET_WRITE_... The module sends up to 32 KiB at a time, compressed where the client has agreed
 * to that. It waits while the queue is full, as send does. Returns WEBSOCKET_SEND_ACCEPTED,
 * WEBSOCKET_SEND_CLOSED, also if no message was begun, or WEBSOCKET_SEND_BUSY if another thread is
 * in this function. A piece that cannot be sent, such as one of more than INT_MAX bytes, closes the
 * connection with 1011, because the message would have a hole.
 */
typedef int (CALLBACK *WS_Write)(const struct _WebSocketServer *server, const unsigned char *buffer,
                                 const size_t buffer_size, const int how);

/*
 * The fields that newer modules have after those for metrics. Ask for the functions with the macros
 * below: they are NULL if the module does not have them.
 */
typedef struct _WebSocketWriteServer {
    WebSocketMetricServer metrics;
    WS_Begin begin;
    WS_Write write;
} WebSocketWriteServer;

#define WEBSOCKET_WRITE_FUNCTION(server, type, name)          \
    ((server)->size >= sizeof(WebSocketWriteServer)           \
         ? ((const WebSocketWriteServer *)(server))->name     \
         : (type)NULL)

#define WEBSOCKET_BEGIN(server) WEBSOCKET_WRITE_FUNCTION(server, WS_Begin, begin)
#define WEBSOCKET_WRITE(server) WEBSOCKET_WRITE_FUNCTION(server, WS_Write, write)

/* ---- Functions that the module calls --------------------------------------------------------- */

/*
 * The exported function. httpd calls it while it reads its configuration, once for each
 * WebSocketHandler directive, and again at each restart. Returns the plugin's table, which must
 * stay valid until destroy, or NULL if the plugin cannot be used.
 */
typedef struct _WebSocketPlugin *(CALLBACK *WS_Init)(void);

/*
 * Called once for each call of init, before httpd unloads the library. All threads of the plugin
 * must have ended when it returns.
 */
typedef void (CALLBACK *WS_Destroy)(struct _WebSocketPlugin *plugin);

/*
 * Returns any non-NULL pointer to accept the connection; the other callbacks get it as
 * plugin_private. NULL refuses the connection with status 403; the module then does not call
 * on_disconnect.
 */
typedef void *(CALLBACK *WS_OnConnect)(const WebSocketServer *server);

/*
 * Receives one whole message. The buffer is never NULL, not even for an empty message. It is valid
 * only during the call, and the plugin may change it in place. There is no NUL at its end, but room
 * for one: the plugin may also write to buffer[buffer_size]. The module ignores the result.
 */
typedef size_t (CALLBACK *WS_OnMessage)(void *plugin_private, const WebSocketServer *server,
                                        const int type, unsigned char *buffer,
                                        const size_t buffer_size);

/*
 * Called once for each accepted connection, after its last message. From now on send returns 0, so
 * a plugin can join its sending threads here. WEBSOCKET_ENDING tells how the connection ended.
 */
typedef void (CALLBACK *WS_OnDisconnect)(void *plugin_private, const WebSocketServer *server);

#define WEBSOCKET_PLUGIN_VERSION_0 0

/* A plugin's table. Only on_message is required; the others may be NULL. */
typedef struct _WebSocketPlugin {
    unsigned int size;    /* sizeof(WebSocketPlugin) */
    unsigned int version; /* WEBSOCKET_PLUGIN_VERSION_0 */
    WS_Destroy destroy;
    WS_OnConnect on_connect; /* NULL: every connection is accepted */
    WS_OnMessage on_message;
    WS_OnDisconnect on_disconnect;
} WebSocketPlugin;

#ifdef __cplusplus
}
#endif

#endif /* WEBSOCKET_PLUGIN_H */
