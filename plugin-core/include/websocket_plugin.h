/*
 * The interface between mod_websocket and a plugin, for C and C++.
 *
 * A plugin is a shared library. It exports an init function, which the directive
 * `WebSocketHandler LIBRARY INIT` names:
 *
 *     EXPORT WebSocketPlugin *CALLBACK echo_init(void);
 *
 * init returns a WebSocketPlugin: the functions the module calls. For each connection the module
 * hands them a WebSocketServer: the functions the plugin calls.
 *
 * Versions. Both tables grow only at their end. `size` says how far a table goes; read no field
 * that lies beyond it.
 *
 * Threads. The module never calls two callbacks of one connection at once. Callbacks of different
 * connections run in parallel, so what they share needs a lock.
 * A plugin may call send, close, request, header_get, protocol_count and protocol_index from any
 * thread until on_disconnect returns, and from inside every callback. send and close never wait for
 * a callback, so a plugin may hold its own locks while it calls them; but send may wait for the
 * client, see WS_Send.
 * A callback may block: that holds up its own connection only.
 *
 * Logging. Lines for httpd's error log need httpd's headers:
 *
 *     #include "httpd.h"
 *     #include "http_log.h"
 *     APLOG_USE_MODULE(websocket);
 *
 *     ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, server->request(server), "%s joined", name);
 *
 * The line names the client, and `LogLevel websocket:LEVEL` of the request's section decides
 * whether it is written. Without a connection (in init and destroy) use
 * ap_log_error(APLOG_MARK, APLOG_INFO, 0, NULL, ...). Never pass what a client sent as the format.
 */

#ifndef WEBSOCKET_PLUGIN_H
#define WEBSOCKET_PLUGIN_H

#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * EXPORT, at the start of a declaration, makes the function visible outside of the library: in C++
 * under the name it has in the source, and with -fvisibility=hidden too. CALLBACK is the calling
 * convention.
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
 * Message types. on_message receives TEXT and BINARY only: the module itself answers pings and
 * close frames, and ignores pongs.
 */
#define MESSAGE_TYPE_INVALID (-1) /* no message; never received */
#define MESSAGE_TYPE_TEXT 0
#define MESSAGE_TYPE_BINARY 128
#define MESSAGE_TYPE_CLOSE 255 /* payload: status code in network byte order, then the reason */
#define MESSAGE_TYPE_PING 256
#define MESSAGE_TYPE_PONG 257

struct request_rec;      /* httpd's request, see httpd.h */
struct _WebSocketServer; /* defined below */
struct _WebSocketState;  /* the module's own */
struct _WebSocketPlugin; /* defined below */

/* ---- What the plugin calls ------------------------------------------------------------------- */

/*
 * httpd's request of the opening handshake, valid until on_disconnect returns. NULL if the table
 * stands for no connection.
 */
typedef struct request_rec *(CALLBACK *WS_Request)(const struct _WebSocketServer *server);

/* The value of a request header, NULL if it is absent. Valid until on_disconnect returns. */
typedef const char *(CALLBACK *WS_Header_Get)(const struct _WebSocketServer *server,
                                              const char *key);

/*
 * Sets a header of the 101 response. Key and value are copied. For on_connect: a later call changes
 * nothing.
 */
typedef void (CALLBACK *WS_Header_Set)(const struct _WebSocketServer *server, const char *key,
                                       const char *value);

/* How many subprotocols the client offers. */
typedef size_t (CALLBACK *WS_Protocol_Count)(const struct _WebSocketServer *server);

/*
 * One of the offered subprotocols, counted from 0 in the client's order; NULL beyond the last.
 * Valid until on_disconnect returns.
 */
typedef const char *(CALLBACK *WS_Protocol_Index)(const struct _WebSocketServer *server,
                                                  const size_t index);

/*
 * Sets the subprotocol that the 101 response names; choose one the client offers. The text is
 * copied. For on_connect: a later call changes nothing.
 */
typedef void (CALLBACK *WS_Protocol_Set)(const struct _WebSocketServer *server,
                                         const char *protocol);

/*
 * Sends one message. The payload is copied, and goes out as it is: the module does not check that
 * TEXT is UTF-8. A type that is none of the above counts as MESSAGE_TYPE_CLOSE; nothing is sent
 * after a close. Messages sent in on_connect follow the 101 response; in the original C module such a
 * call waits for ever, so a plugin for that one sends from on_message or from a thread of its own.
 *
 * Messages wait in a queue of the connection's own, so send usually returns at once. It waits while
 * 16 MiB or more are in the queue, until the client has taken some of them. A client that takes too
 * long, by httpd's `Timeout` (60 seconds unless set), is given up: its connection ends, and send
 * returns 0. So one slow client can hold up a thread that sends to many. In on_connect send never
 * waits: with the queue full it returns 0.
 *
 * Returns the number of payload bytes accepted: all of them, or 0 if the connection is closing or
 * gone. A length of 2 GiB or more is a mistake, and so is NULL with a length: 0, and a line in the
 * error log.
 */
typedef size_t (CALLBACK *WS_Send)(const struct _WebSocketServer *server, const int type,
                                   const unsigned char *buffer, const size_t buffer_size);

/*
 * Starts the closing handshake with a close frame that carries no status. To give one, send a
 * MESSAGE_TYPE_CLOSE. Closing again does nothing.
 */
typedef void (CALLBACK *WS_Close)(const struct _WebSocketServer *server);

#define WEBSOCKET_SERVER_VERSION_1 1

/* The module's side of one connection. */
typedef struct _WebSocketServer {
    unsigned int size;             /* of the whole table, in bytes */
    unsigned int version;          /* WEBSOCKET_SERVER_VERSION_1 */
    struct _WebSocketState *state; /* not for plugins */
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
 * Sends one message, as send does, unless it would have to wait for the client, who does not keep
 * up. Returns WEBSOCKET_SEND_ACCEPTED; WEBSOCKET_SEND_CLOSED if the connection is closing or gone;
 * or WEBSOCKET_SEND_FULL: then the message is not queued, and nothing of it is sent. It never waits,
 * and may be called where send may, in on_connect too. MESSAGE_TYPE_CLOSE always has room.
 *
 * A plugin that sends to many clients uses it so that nobody waits for a slow one, for whom it
 * leaves messages out or whom it closes.
 */
typedef int (CALLBACK *WS_Try_Send)(const struct _WebSocketServer *server, const int type,
                                    const unsigned char *buffer, const size_t buffer_size);

#define WEBSOCKET_SEND_ACCEPTED 0
#define WEBSOCKET_SEND_CLOSED 1
#define WEBSOCKET_SEND_FULL 2

/*
 * What newer modules have behind the table, as far as it is for C; more may follow. Its size tells:
 * use WEBSOCKET_TRY_SEND.
 */
typedef struct _WebSocketServerTable {
    WebSocketServer base;
    void (*for_rust[5])(void); /* not for plugins in C */
    WS_Try_Send try_send;
} WebSocketServerTable;

/*
 * The function of type WS_Try_Send, or NULL where the module has none, which is so of the original
 * one. Then there is only send:
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

/* ---- What the module calls ------------------------------------------------------------------- */

/*
 * The exported function. Called while httpd reads its configuration, once for each WebSocketHandler
 * directive and again at each restart. Returns the plugin's table, which must stay valid until
 * destroy, or NULL if the plugin cannot be used.
 */
typedef struct _WebSocketPlugin *(CALLBACK *WS_Init)(void);

/*
 * Called once for each call of init, before the library is unloaded. All threads of the plugin must
 * have ended when it returns.
 */
typedef void (CALLBACK *WS_Destroy)(struct _WebSocketPlugin *plugin);

/*
 * Accepts a connection by returning any non-NULL pointer, which the other callbacks get as
 * plugin_private. NULL refuses the connection with status 403; on_disconnect is then not called.
 */
typedef void *(CALLBACK *WS_OnConnect)(const WebSocketServer *server);

/*
 * Receives one whole message. The buffer is never NULL, not even for an empty message; it may be
 * changed in place, and is valid during the call only. It has no terminating NUL, but room for one:
 * buffer[buffer_size] may be written too. The result is ignored.
 */
typedef size_t (CALLBACK *WS_OnMessage)(void *plugin_private, const WebSocketServer *server,
                                        const int type, unsigned char *buffer,
                                        const size_t buffer_size);

/*
 * Called once for each accepted connection, after its last message. From now on send returns 0, so
 * threads that are sending can be joined here.
 */
typedef void (CALLBACK *WS_OnDisconnect)(void *plugin_private, const WebSocketServer *server);

#define WEBSOCKET_PLUGIN_VERSION_0 0

/* A plugin. Only on_message must be there; the others may be NULL. */
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
