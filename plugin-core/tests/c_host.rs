//! A plugin under a host that knows only the C tables and guarantees nothing else.
#![allow(unsafe_code)]

mod host;

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::Mutex;
use websocket_plugin::abi::{
    ExtendedServer, MESSAGE_TYPE_BINARY, MESSAGE_TYPE_CLOSE, MESSAGE_TYPE_PING, MESSAGE_TYPE_TEXT,
    OnMessage, SEND_ACCEPTED, SEND_CLOSED, WebSocketPlugin, WebSocketServer,
};
use websocket_plugin::{
    Close, Handshake, Message, Plugin, Rejection, SendError, Sender, websocket_plugin,
};

unsafe extern "system" {
    /// The init function that the attribute exports.
    safe fn spy_init() -> *mut WebSocketPlugin;
    safe fn trier_init() -> *mut WebSocketPlugin;
}

#[derive(Default)]
struct Trier;

#[websocket_plugin]
impl Plugin for Trier {
    fn on_message(&self, _: &mut (), sender: &Sender, message: Message<'_>) -> Result<(), Close> {
        sender.try_send(message)?;
        assert_eq!(sender.clone().try_send("refused"), Err(SendError::Closed));
        Ok(())
    }
}

#[derive(Default)]
struct Spy;

#[websocket_plugin]
impl Plugin for Spy {
    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
        assert!(handshake.headers().is_none());
        let info = [
            handshake.method(),
            handshake.uri(),
            handshake.path_info(),
            handshake.query(),
            handshake.user(),
            handshake.client_address(),
        ];
        assert_eq!((info, handshake.is_tls()), ([None; 6], None));
        match handshake.header("Host") {
            Some(_) => Ok(()),
            None => Err(Rejection::NOT_FOUND),
        }
    }

    fn on_message(&self, _: &mut (), sender: &Sender, message: Message<'_>) -> Result<(), Close> {
        log::info!("{} bytes", message.len());
        sender.send(message)?;
        if message.as_text() == Some("end") {
            SENT.lock().unwrap().clear();
            assert_eq!(sender.send("refused"), Err(SendError::Closed));
        }
        Ok(())
    }
}

type Sent = (c_int, Vec<u8>);
static SENT: Mutex<Vec<Sent>> = Mutex::new(Vec::new());

unsafe extern "system" fn header_get(s: *const WebSocketServer, _: *const c_char) -> *const c_char {
    // SAFETY: a plugin passes the table it was given.
    let has_no_host = unsafe { (*s).state.is_null() };
    if has_no_host {
        ptr::null()
    } else {
        c"localhost".as_ptr()
    }
}
unsafe extern "system" fn send(
    _: *const WebSocketServer,
    kind: c_int,
    data: *const u8,
    length: usize,
) -> usize {
    // SAFETY: the payload is as long as the plugin says.
    let payload = unsafe { std::slice::from_raw_parts(data, length) };
    if payload == b"refused" {
        return 0;
    }
    SENT.lock().unwrap().push((kind, payload.to_vec()));
    length
}
/// The C module's table. Miri and sanitizers detect a read beyond its end.
fn table() -> Box<WebSocketServer> {
    Box::new(WebSocketServer {
        state: ptr::NonNull::dangling().as_ptr(),
        header_get,
        send,
        ..host::table()
    })
}

#[test]
fn the_table_starts_with_that_of_the_c_header() {
    let table = spy_init();
    assert_eq!(
        table,
        spy_init(),
        "two directives may name the same library"
    );
    // SAFETY: init returns a table with at least the C part; the code reads pointer-sized words of
    // it.
    unsafe {
        assert!((*table).size as usize >= size_of::<WebSocketPlugin>());
        assert_eq!((*table).version, 0);
        let words = table.cast::<*const c_void>();
        let callbacks = words.add(2 * size_of::<c_uint>() / size_of::<usize>());
        for index in 0..4 {
            assert!(!(*callbacks.add(index)).is_null());
        }
        let destroy = (*table).destroy.unwrap();
        destroy(table);
        destroy(table);
    }
}

/// # Safety
///
/// `on_connect` returned `to` for this server, and `on_disconnect` has not yet been called.
unsafe fn deliver(
    on_message: OnMessage,
    to: *mut c_void,
    server: &WebSocketServer,
    kind: c_int,
    text: &[u8],
) {
    let mut payload = text.to_vec();
    // SAFETY: the caller guarantees the pointer, and the payload is valid during the call.
    unsafe { on_message(to, server, kind, payload.as_mut_ptr(), payload.len()) };
}

#[test]
fn a_connection_works_and_invalid_utf_8_closes_it() {
    let plugin = spy_init();
    let server = table();
    // SAFETY: the host below follows the rules of the C tables.
    unsafe {
        let connection = (*plugin).on_connect.unwrap()(&raw const *server);
        assert!(!connection.is_null());
        let on_message = (*plugin).on_message.unwrap();
        deliver(on_message, connection, &server, MESSAGE_TYPE_TEXT, b"text");
        deliver(on_message, connection, &server, MESSAGE_TYPE_TEXT, b"");
        deliver(
            on_message,
            connection,
            &server,
            MESSAGE_TYPE_BINARY,
            b"\xff",
        );
        deliver(
            on_message,
            connection,
            &server,
            MESSAGE_TYPE_PING,
            b"not for plugins",
        );
        on_message(
            connection,
            &raw const *server,
            MESSAGE_TYPE_BINARY,
            ptr::null_mut(),
            0,
        );
        let echoed = [
            (MESSAGE_TYPE_TEXT, b"text".to_vec()),
            (MESSAGE_TYPE_TEXT, vec![]),
            (MESSAGE_TYPE_BINARY, vec![0xff]),
            (MESSAGE_TYPE_BINARY, vec![]),
        ];
        assert_eq!(*SENT.lock().unwrap(), echoed);
        deliver(on_message, connection, &server, MESSAGE_TYPE_TEXT, b"end");
        deliver(on_message, connection, &server, MESSAGE_TYPE_TEXT, b"\xff");
        deliver(
            on_message,
            connection,
            &server,
            MESSAGE_TYPE_TEXT,
            b"no more of these",
        );
        assert_eq!(
            *SENT.lock().unwrap(),
            [(MESSAGE_TYPE_CLOSE, b"\x03\xef".to_vec())]
        );
        (*plugin).on_disconnect.unwrap()(connection, &raw const *server);
        (*plugin).destroy.unwrap()(plugin);
    }
}

/// The messages that hosts without `try_send` were told to send.
static TRIED: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

unsafe extern "system" fn note(
    _: *const WebSocketServer,
    _: c_int,
    data: *const u8,
    length: usize,
) -> usize {
    // SAFETY: the payload is as long as the plugin says.
    let payload = unsafe { std::slice::from_raw_parts(data, length) };
    if payload == b"refused" {
        return 0;
    }
    TRIED.lock().unwrap().push(payload.to_vec());
    length
}

/// The table of a module that does not yet have `try_send_message`. It ends there.
fn older_table() -> Box<ExtendedServer> {
    unsafe extern "system" fn send_message(
        server: *const WebSocketServer,
        kind: c_int,
        data: *const u8,
        length: usize,
    ) -> c_int {
        // SAFETY: a plugin passes the table it was given.
        let accepted = unsafe { note(server, kind, data, length) };
        if accepted == length {
            SEND_ACCEPTED
        } else {
            SEND_CLOSED
        }
    }
    let older = host::older_table();
    let base = WebSocketServer {
        size: older.base.size,
        ..*table()
    };
    Box::new(ExtendedServer {
        base,
        send_message,
        ..older
    })
}

#[test]
fn under_a_host_without_try_send_it_sends() {
    let plugin = trier_init();
    let (mut original, older) = (table(), older_table());
    original.send = note;
    for server in [&raw const *original, &raw const older.base] {
        // SAFETY: the host below follows the rules of the C tables.
        unsafe {
            let connection = (*plugin).on_connect.unwrap()(server);
            assert!(!connection.is_null());
            let on_message = (*plugin).on_message.unwrap();
            let mut payload = *b"tried";
            on_message(
                connection,
                server,
                MESSAGE_TYPE_TEXT,
                payload.as_mut_ptr(),
                payload.len(),
            );
            (*plugin).on_disconnect.unwrap()(connection, server);
        }
    }
    // SAFETY: as above.
    unsafe { (*plugin).destroy.unwrap()(plugin) };
    assert_eq!(*TRIED.lock().unwrap(), [b"tried", b"tried"]);
}

#[test]
fn on_connect_returns_null_to_refuse() {
    let plugin = spy_init();
    let mut server = table();
    server.state = ptr::null_mut();
    // SAFETY: as above.
    unsafe {
        assert!((*plugin).on_connect.unwrap()(&raw const *server).is_null());
        (*plugin).destroy.unwrap()(plugin);
    }
}
