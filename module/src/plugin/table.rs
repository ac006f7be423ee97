//! The functions of the table that a plugin gets.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::Arc;

use websocket_plugin::abi;

use super::arguments::{bytes, c_str, refuse_to_send};
use super::attachment::Attachment;
use super::composing::{begin, write};
use super::mailbox::{Event, Refused};
use super::metrics::metric;
use super::refusing::{self, refuse};
use super::server::{with_attached, with_server};
use super::topics::{publish, subscribe, topics, unsubscribe};
use crate::httpd::log::{Level, log_server};
use crate::output::{Caller, Closed, Output};
use crate::protocol::Opcode;

/// The table of a [`Server`](super::server::Server) without its state. A null state stands for no
/// connection.
pub(super) const TABLE: abi::WriteServer = abi::WriteServer {
    metrics: abi::MetricServer {
        parts: PARTS,
        metric,
    },
    begin,
    write,
};

const PARTS: abi::PartServer = abi::PartServer {
    variables: abi::VariableServer {
        events: abi::EventServer {
            flow: abi::FlowServer {
                ending: abi::EndingServer {
                    topics: TOPICS,
                    ending,
                    buffered,
                },
                pause,
                on_drain,
            },
            post,
        },
        variable,
    },
    on_part,
};

const TOPICS: abi::TopicServer = abi::TopicServer {
    table: abi::ServerTable {
        extended: EXTENDED,
        try_send_message,
        refuse,
    },
    subscribe,
    unsubscribe,
    publish,
    topics,
};

const EXTENDED: abi::ExtendedServer = abi::ExtendedServer {
    base: abi::WebSocketServer {
        size: abi::WriteServer::SIZE,
        version: abi::WEBSOCKET_SERVER_VERSION_1,
        state: ptr::null_mut(),
        request,
        header_get,
        header_set,
        protocol_count,
        protocol_index,
        protocol_set,
        send,
        close,
    },
    send_message,
    request_info,
    request_header,
    reject,
    log,
};

/// A table that stands for no connection. It is valid for as long as the module is loaded.
pub(super) fn unattached() -> *const abi::WebSocketServer {
    /// A table behind a shared reference.
    struct Shared(abi::WriteServer);
    // SAFETY: nothing writes to the table, and its one pointer is null.
    unsafe impl Sync for Shared {}
    static UNATTACHED: Shared = Shared(TABLE);
    (&raw const UNATTACHED.0).cast()
}

unsafe extern "system" fn request(server: *const abi::WebSocketServer) -> *mut abi::RequestRec {
    // SAFETY: a plugin passes the table it was given.
    unsafe {
        with_attached(server, ptr::null_mut(), |attached, _| {
            attached.with_request(|opening| Some(opening.request.as_abi()))
        })
    }
}

unsafe extern "system" fn header_get(
    server: *const abi::WebSocketServer,
    name: *const c_char,
) -> *const c_char {
    // SAFETY: a plugin passes the table it was given and a C string.
    unsafe {
        with_attached(server, ptr::null(), |attached, _| {
            let name = c_str(name)?;
            attached.with_request(|opening| Some(opening.request.header_ptr(name)))
        })
    }
}

unsafe extern "system" fn header_set(
    server: *const abi::WebSocketServer,
    name: *const c_char,
    value: *const c_char,
) {
    // SAFETY: a plugin passes the table it was given and C strings.
    unsafe {
        with_attached(server, (), |attached, _| {
            attached.set_header(c_str(name)?, c_str(value)?.to_bytes());
            Some(())
        });
    }
}

unsafe extern "system" fn protocol_count(server: *const abi::WebSocketServer) -> usize {
    // SAFETY: a plugin passes the table it was given.
    unsafe {
        with_attached(server, 0, |attached, _| {
            attached.with_request(|opening| Some(opening.subprotocols.len()))
        })
    }
}

unsafe extern "system" fn protocol_index(
    server: *const abi::WebSocketServer,
    index: usize,
) -> *const c_char {
    // SAFETY: a plugin passes the table it was given.
    unsafe {
        with_attached(server, ptr::null(), |attached, _| {
            attached.with_request(|opening| opening.subprotocols.get(index).copied())
        })
    }
}

unsafe extern "system" fn protocol_set(server: *const abi::WebSocketServer, name: *const c_char) {
    // SAFETY: a plugin passes the table it was given and a C string.
    unsafe {
        with_attached(server, (), |attached, _| {
            attached.set_header(c"Sec-WebSocket-Protocol", c_str(name)?.to_bytes());
            Some(())
        });
    }
}

unsafe extern "system" fn send(
    server: *const abi::WebSocketServer,
    kind: c_int,
    payload: *const u8,
    length: usize,
) -> usize {
    // SAFETY: a plugin passes the table it was given and as many bytes as it says.
    match unsafe { send_waiting(server, kind, payload, length) } {
        abi::SEND_ACCEPTED => length,
        _ => 0,
    }
}

unsafe extern "system" fn send_message(
    server: *const abi::WebSocketServer,
    kind: c_int,
    payload: *const u8,
    length: usize,
) -> c_int {
    // SAFETY: as above.
    unsafe { send_waiting(server, kind, payload, length) }
}

unsafe extern "system" fn try_send_message(
    server: *const abi::WebSocketServer,
    kind: c_int,
    payload: *const u8,
    length: usize,
) -> c_int {
    let opcode = opcode(kind);
    // SAFETY: as above.
    unsafe {
        send_by(
            server,
            opcode,
            payload,
            length,
            |payload, output, caller| output.try_send(opcode, payload, caller),
        )
    }
}

/// Sends a message. Waits for room if the queue is full.
#[inline]
unsafe fn send_waiting(
    server: *const abi::WebSocketServer,
    kind: c_int,
    payload: *const u8,
    length: usize,
) -> c_int {
    let opcode = opcode(kind);
    // SAFETY: as for the caller.
    unsafe {
        send_by(
            server,
            opcode,
            payload,
            length,
            |payload, output, caller| output.send(opcode, payload, caller).map(|()| true),
        )
    }
}

/// Sends a message. Calls `send` if the message cannot simply be queued.
#[inline]
unsafe fn send_by(
    server: *const abi::WebSocketServer,
    opcode: Opcode,
    payload: *const u8,
    length: usize,
    send: impl FnOnce(&[u8], &Arc<Output>, Caller) -> Result<bool, Closed>,
) -> c_int {
    // SAFETY: a plugin passes the table it was given and as many bytes as it says.
    unsafe {
        with_server(server, abi::SEND_CLOSED, |server| {
            let Some(payload) = bytes(payload, length) else {
                server.with_attached(|attached, _| {
                    refuse_to_send(attached, payload.is_null(), length);
                    Some(())
                });
                return None;
            };
            let sent = server.send(opcode, payload, |attached, caller| {
                trace_sent(attached, opcode, length);
                send(payload, attached.output(), caller)
            });
            Some(if sent.ok()? {
                abi::SEND_ACCEPTED
            } else {
                abi::SEND_FULL
            })
        })
    }
}

unsafe extern "system" fn request_info(
    server: *const abi::WebSocketServer,
    item: c_int,
) -> *const c_char {
    // SAFETY: a plugin passes the table it was given.
    unsafe {
        with_attached(server, ptr::null(), |attached, _| {
            attached.with_request(|opening| {
                let request = opening.request;
                Some(match item {
                    abi::REQUEST_METHOD => request.method_ptr(),
                    abi::REQUEST_URI => request.target_ptr(),
                    abi::REQUEST_PATH_INFO => attached.path_info(request),
                    abi::REQUEST_QUERY => request.query_ptr(),
                    abi::REQUEST_USER => request.user_ptr(),
                    abi::REQUEST_CLIENT_ADDRESS => request.client_address_ptr(),
                    abi::REQUEST_SCHEME => request.scheme_ptr(),
                    abi::REQUEST_CLIENT_PORT => request.client_port_ptr(),
                    _ => return None,
                })
            })
        })
    }
}

unsafe extern "system" fn variable(
    server: *const abi::WebSocketServer,
    name: *const c_char,
) -> *const c_char {
    // SAFETY: a plugin passes the table it was given and a C string.
    unsafe {
        with_attached(server, ptr::null(), |attached, caller| {
            let name = c_str(name)?;
            if attached.is_open() || caller != Caller::Own {
                // To ask mod_ssl takes memory of the request, which no two threads may do at once.
                return None;
            }
            attached.with_request(|opening| Some(opening.request.variable_ptr(name)))
        })
    }
}

unsafe extern "system" fn request_header(
    server: *const abi::WebSocketServer,
    index: usize,
    name: *mut *const c_char,
    value: *mut *const c_char,
) -> c_int {
    // SAFETY: a plugin passes the table it was given and two places for the answer.
    unsafe {
        with_attached(server, 0, |attached, _| {
            let (header_name, header_value) =
                attached.with_request(|opening| opening.request.header_at(index))?;
            *name.as_mut()? = header_name;
            *value.as_mut()? = header_value;
            Some(1)
        })
    }
}

unsafe extern "system" fn reject(server: *const abi::WebSocketServer, status: c_int) {
    // SAFETY: a plugin passes the table it was given.
    unsafe {
        with_attached(server, (), |attached, _| {
            attached.reject(refusing::with_status(status)?);
            Some(())
        });
    }
}

unsafe extern "system" fn log(
    server: *const abi::WebSocketServer,
    level: c_int,
    message: *const u8,
    length: usize,
) {
    let level = match level {
        ..=abi::LOG_ERROR => Level::Error,
        abi::LOG_WARNING => Level::Warning,
        5..=abi::LOG_INFO => Level::Info,
        abi::LOG_DEBUG => Level::Debug,
        _ => Level::Trace,
    };
    // SAFETY: a plugin passes the table it was given and as many bytes as it says.
    unsafe {
        let message = bytes(message, length).unwrap_or(b"(a log line that cannot be read)");
        let message = String::from_utf8_lossy(message);
        let is_logged = with_attached(server, false, |attached, _| {
            attached.log(level, &message);
            Some(true)
        });
        if !is_logged {
            log_server(level, &message);
        }
    }
}

unsafe extern "system" fn ending(
    server: *const abi::WebSocketServer,
    answer: *mut abi::Ending,
) -> c_int {
    // SAFETY: a plugin passes the table it was given, and null or a struct as large as its `size`
    // says. The size is read first.
    unsafe {
        with_attached(server, 0, |attached, _| {
            let is_whole =
                !answer.is_null() && (&raw const (*answer).size).read() >= abi::Ending::SIZE;
            let ending = attached.ending().filter(|_| is_whole)?;
            let size = (*answer).size;
            answer.write(abi::Ending { size, ..*ending });
            Some(1)
        })
    }
}

unsafe extern "system" fn buffered(server: *const abi::WebSocketServer) -> usize {
    // SAFETY: a plugin passes the table it was given.
    unsafe { with_attached(server, 0, |attached, _| Some(attached.output().waiting())) }
}

unsafe extern "system" fn pause(server: *const abi::WebSocketServer, is_paused: c_int) -> c_int {
    // SAFETY: a plugin passes the table it was given.
    unsafe {
        with_attached(server, 0, |attached, _| {
            let output = attached.output();
            Some(c_int::from(if is_paused == 0 {
                output.resume()
            } else {
                output.pause()
            }))
        })
    }
}

unsafe extern "system" fn on_drain(
    server: *const abi::WebSocketServer,
    callback: Option<abi::OnDrain>,
) {
    // SAFETY: a plugin passes the table it was given.
    unsafe {
        with_attached(server, (), |attached, _| {
            attached.set_on_drain(callback);
            Some(())
        });
    }
}

unsafe extern "system" fn on_part(
    server: *const abi::WebSocketServer,
    callback: Option<abi::OnPart>,
) -> c_int {
    // SAFETY: a plugin passes the table it was given.
    unsafe {
        with_attached(server, 0, |attached, _| {
            Some(c_int::from(attached.set_on_part(callback)))
        })
    }
}

unsafe extern "system" fn post(
    server: *const abi::WebSocketServer,
    milliseconds: u64,
    on_event: abi::OnEvent,
    discard: Option<abi::Discard>,
    data: *mut c_void,
) -> c_int {
    // SAFETY: a plugin passes the table it was given, and functions for its event. Its library
    // stays loaded for as long as it has connections.
    unsafe {
        with_attached(server, abi::POST_CLOSED, |attached, caller| {
            let event = Event::new(on_event, discard, data);
            Some(match attached.post(event, milliseconds, caller) {
                Ok(()) => abi::POST_ACCEPTED,
                Err(Refused::Closed) => abi::POST_CLOSED,
                Err(Refused::Full) => abi::POST_FULL,
            })
        })
    }
}

unsafe extern "system" fn close(server: *const abi::WebSocketServer) {
    // SAFETY: a plugin passes the table it was given.
    unsafe {
        with_attached(server, (), |attached, caller| {
            trace_sent(attached, Opcode::Close, 0);
            attached.output().send(Opcode::Close, &[], caller).ok()
        });
    }
}

/// Logs a frame that the plugin sends, if frames are logged.
#[inline]
fn trace_sent(attached: &Attachment, opcode: Opcode, length: usize) {
    if attached.traces_frames() {
        trace(attached, opcode, length);
    }
}

#[cold]
fn trace(attached: &Attachment, opcode: Opcode, length: usize) {
    let kind = format!("{opcode:?}").to_lowercase();
    let text = format!("the plugin sends a {kind} frame of {length} bytes");
    attached.log(Level::Trace4, &text);
}

const fn opcode(kind: c_int) -> Opcode {
    match kind {
        abi::MESSAGE_TYPE_TEXT => Opcode::Text,
        abi::MESSAGE_TYPE_BINARY => Opcode::Binary,
        abi::MESSAGE_TYPE_PING => Opcode::Ping,
        abi::MESSAGE_TYPE_PONG => Opcode::Pong,
        _ => Opcode::Close,
    }
}
