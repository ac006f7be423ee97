//! The C tables that `mod_websocket` and a plugin exchange, as `include/websocket_plugin.h`
//! declares them.
//!
//! A plugin exports an init function ([`Init`]) that returns a [`WebSocketPlugin`]. For each
//! connection the module hands the plugin a [`WebSocketServer`], through which the plugin asks
//! about the request and sends messages.
//!
//! Both tables grow only at the end. `size` gives the size of a table in bytes; a reader must not
//! touch a field that lies beyond it. [`ServerTable`] holds the fields that our module appends to
//! its table first, [`TopicServer`] those that followed, and [`ExtendedPlugin`] those that a Rust
//! plugin appends to its own.
//!
//! The header's `CALLBACK` is `__stdcall` on 32-bit Windows and empty elsewhere. That is what
//! `extern "system"` means.
//!
//! # Threads
//!
//! Any thread may call `send`, `close`, `request`, `header_get`, `protocol_count` and
//! `protocol_index` until `on_disconnect` returns. `header_set` and `protocol_set` have an effect
//! only during `on_connect`. The module never calls two callbacks of one connection at once;
//! callbacks of different connections run in parallel.

#![allow(unsafe_code)]

mod ending;
mod events;
mod extension;
mod flow;
#[doc(hidden)]
pub mod host;
mod metric;
mod parts;
mod refusal;
mod server;
mod topics;
mod variable;
mod writing;

pub use ending::{
    Buffered, CLOSED_BY_CLIENT, CLOSED_BY_DRAIN, CLOSED_BY_ERROR, CLOSED_BY_LIMIT,
    CLOSED_BY_NOBODY, CLOSED_BY_PLUGIN, CLOSED_BY_SHUTDOWN, CLOSED_BY_TIMEOUT, Ending, EndingOf,
    EndingServer,
};
pub use events::{Discard, EventServer, OnEvent, POST_ACCEPTED, POST_CLOSED, POST_FULL, Post};
pub use extension::{
    ExtendedPlugin, Extension, ExtensionRef, InstancePtr, MAGIC, ServerPtr, TickPlan,
};
pub use flow::{FlowServer, OnDrain, Pause, SetOnDrain};
pub use metric::{
    DeclareMetric, METRIC_COUNTER, METRIC_FULL, METRIC_GAUGE, METRIC_HISTOGRAM, METRIC_INVALID,
    METRIC_OK, METRIC_UNAVAILABLE, Metric, MetricLabel, MetricServer,
};
pub use parts::{OnPart, PartServer, SetOnPart};
pub use refusal::{Refusal, Refuse, ResponseHeader};
pub use server::{
    ExtendedServer, LOG_DEBUG, LOG_ERROR, LOG_INFO, LOG_TRACE, LOG_WARNING, Log,
    REQUEST_CLIENT_ADDRESS, REQUEST_CLIENT_PORT, REQUEST_METHOD, REQUEST_PATH_INFO, REQUEST_QUERY,
    REQUEST_SCHEME, REQUEST_URI, REQUEST_USER, Reject, RequestHeader, RequestInfo, SEND_ACCEPTED,
    SEND_CLOSED, SEND_FULL, SendMessage, ServerTable, TrySendMessage,
};

pub use topics::{
    Count, History, HistoryMessage, PUBLISH_JSON, Presence, Publication, Publish, PublishTo,
    RECOVERY_COMPLETE, RECOVERY_GAP, RECOVERY_NONE, SUBSCRIBE_ENVELOPE, SUBSCRIBE_SINCE, Subscribe,
    Subscription, TOPIC_CLOSED, TOPIC_INVALID, TOPIC_LIMIT, TOPIC_OK, TOPIC_TOO_LARGE,
    TOPIC_UNAVAILABLE, TopicMember, TopicPosition, TopicServer, TopicTable, TopicsOf, Unsubscribe,
    Visit, VisitMember,
};
pub use variable::{Variable, VariableServer};
pub use writing::{Begin, SEND_BUSY, WRITE_END, WRITE_FLUSH, WRITE_MORE, Write, WriteServer};

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::mem::offset_of;

/// An invalid message type; never sent.
pub const MESSAGE_TYPE_INVALID: c_int = -1;
/// A text message.
pub const MESSAGE_TYPE_TEXT: c_int = 0;
/// A binary message.
pub const MESSAGE_TYPE_BINARY: c_int = 128;
/// A close frame. Its payload is the status code in network byte order, followed by the reason.
pub const MESSAGE_TYPE_CLOSE: c_int = 255;
/// A ping frame.
pub const MESSAGE_TYPE_PING: c_int = 256;
/// A pong frame.
pub const MESSAGE_TYPE_PONG: c_int = 257;

/// The value of [`WebSocketServer::version`].
pub const WEBSOCKET_SERVER_VERSION_1: c_uint = 1;
/// The value of [`WebSocketPlugin::version`].
pub const WEBSOCKET_PLUGIN_VERSION_0: c_uint = 0;

/// httpd's `request_rec`. This crate only passes pointers to it on.
#[repr(C)]
pub struct RequestRec {
    _opaque: [u8; 0],
}

/// The module's private state, to which [`WebSocketServer::state`] points (`struct
/// _WebSocketState`).
#[repr(C)]
pub struct WebSocketState {
    _opaque: [u8; 0],
}

/// `WS_Request`: returns httpd's request of the opening handshake. The pointer is valid until
/// `on_disconnect` returns. It is null when the table belongs to no connection.
pub type Request = unsafe extern "system" fn(*const WebSocketServer) -> *mut RequestRec;
/// `WS_Header_Get`: returns the value of a request header, or null if there is no such header. The
/// text stays valid until `on_disconnect` returns.
pub type HeaderGet =
    unsafe extern "system" fn(*const WebSocketServer, *const c_char) -> *const c_char;
/// `WS_Header_Set`: sets a header of the 101 response. The module copies the name and the value.
pub type HeaderSet =
    unsafe extern "system" fn(*const WebSocketServer, *const c_char, *const c_char);
/// `WS_Protocol_Count`: returns the number of subprotocols that the client offers.
pub type ProtocolCount = unsafe extern "system" fn(*const WebSocketServer) -> usize;
/// `WS_Protocol_Index`: returns an offered subprotocol, or null if the index is out of range.
pub type ProtocolIndex = unsafe extern "system" fn(*const WebSocketServer, usize) -> *const c_char;
/// `WS_Protocol_Set`: sets the subprotocol that the 101 response names. The module copies the text.
pub type ProtocolSet = unsafe extern "system" fn(*const WebSocketServer, *const c_char);
/// `WS_Send`: sends one message of a `MESSAGE_TYPE_*`. The module copies the payload. Returns the
/// number of payload bytes accepted: all of them, or 0 when the connection is closing or gone. An
/// unknown type counts as [`MESSAGE_TYPE_CLOSE`].
pub type Send = unsafe extern "system" fn(*const WebSocketServer, c_int, *const u8, usize) -> usize;
/// `WS_Close`: starts the closing handshake with a close frame that has no status code.
pub type Close = unsafe extern "system" fn(*const WebSocketServer);

/// The module's table for one connection (`struct _WebSocketServer`, 80 bytes on x86-64).
#[repr(C)]
pub struct WebSocketServer {
    /// Size of the whole table in bytes.
    pub size: c_uint,
    /// [`WEBSOCKET_SERVER_VERSION_1`].
    pub version: c_uint,
    /// Private to the module.
    pub state: *mut WebSocketState,
    /// See [`Request`].
    pub request: Request,
    /// See [`HeaderGet`].
    pub header_get: HeaderGet,
    /// See [`HeaderSet`].
    pub header_set: HeaderSet,
    /// See [`ProtocolCount`].
    pub protocol_count: ProtocolCount,
    /// See [`ProtocolIndex`].
    pub protocol_index: ProtocolIndex,
    /// See [`ProtocolSet`].
    pub protocol_set: ProtocolSet,
    /// See [`Send`].
    pub send: Send,
    /// See [`Close`].
    pub close: Close,
}

/// `WS_Init`: the function that `WebSocketHandler` names. Returns the plugin's table, or null if
/// the plugin cannot be used.
pub type Init = unsafe extern "system" fn() -> *mut WebSocketPlugin;
/// `WS_Destroy`: called once for each call of init, before httpd unloads the library.
pub type Destroy = unsafe extern "system" fn(*mut WebSocketPlugin);
/// `WS_OnConnect`: returns a non-null pointer to accept the connection; the other callbacks get
/// this pointer. Null refuses the connection with 403. A plugin without this callback accepts every
/// connection.
pub type OnConnect = unsafe extern "system" fn(*const WebSocketServer) -> *mut c_void;
/// `WS_OnMessage`: receives a whole message, [`MESSAGE_TYPE_TEXT`] or [`MESSAGE_TYPE_BINARY`]. The
/// buffer is never null and is valid during the call; the plugin may change it in place. The module
/// ignores the result.
pub type OnMessage =
    unsafe extern "system" fn(*mut c_void, *const WebSocketServer, c_int, *mut u8, usize) -> usize;
/// `WS_OnDisconnect`: called once for each accepted connection, after its last message.
pub type OnDisconnect = unsafe extern "system" fn(*mut c_void, *const WebSocketServer);

/// A plugin (`struct _WebSocketPlugin`, 40 bytes on x86-64).
#[repr(C)]
pub struct WebSocketPlugin {
    /// Size of the whole table in bytes; at least the size of this struct.
    pub size: c_uint,
    /// [`WEBSOCKET_PLUGIN_VERSION_0`].
    pub version: c_uint,
    /// See [`Destroy`].
    pub destroy: Option<Destroy>,
    /// See [`OnConnect`].
    pub on_connect: Option<OnConnect>,
    /// See [`OnMessage`]. The only required callback.
    pub on_message: Option<OnMessage>,
    /// See [`OnDisconnect`].
    pub on_disconnect: Option<OnDisconnect>,
}

// The offsets that compiled C plugins were built with. Two `unsigned int` take one pointer's size
// on 64-bit systems and two on 32-bit ones.
const HEAD: usize = 2 * size_of::<c_uint>();
const WORD: usize = size_of::<usize>();
const _: () = {
    assert!(offset_of!(WebSocketServer, state) == HEAD);
    assert!(offset_of!(WebSocketServer, request) == HEAD + WORD);
    assert!(offset_of!(WebSocketServer, close) == HEAD + 8 * WORD);
    assert!(size_of::<WebSocketServer>() == HEAD + 9 * WORD);
    assert!(offset_of!(WebSocketPlugin, destroy) == HEAD);
    assert!(offset_of!(WebSocketPlugin, on_message) == HEAD + 2 * WORD);
    assert!(size_of::<WebSocketPlugin>() == HEAD + 4 * WORD);
};
