//! [`Handshake`] and [`Headers`].

#![allow(unsafe_code)]

mod headers;

pub use headers::Headers;

use crate::Sender;
use crate::abi::{
    ExtendedServer, REQUEST_CLIENT_ADDRESS, REQUEST_METHOD, REQUEST_PATH_INFO, REQUEST_QUERY,
    REQUEST_SCHEME, REQUEST_URI, REQUEST_USER, WebSocketServer,
};
use crate::header::{self, InvalidHeader};
use std::ffi::{CStr, CString, c_char, c_int};
use std::marker::PhantomData;

/// The opening handshake (RFC 6455, section 4): what the client asks for, and what it is answered.
///
/// It is lent to [`Plugin::on_connect`](crate::Plugin::on_connect). Texts from the request may be kept
/// until that returns.
///
/// What goes beyond the interface of the C module is `None` if that module loaded the plugin:
/// [`headers`](Self::headers) and everything from [`method`](Self::method) to
/// [`is_tls`](Self::is_tls). A text that is not UTF-8 is `None` too.
pub struct Handshake<'h> {
    server: *const WebSocketServer,
    sender: &'h Sender,
    subprotocol: Option<String>,
    request: PhantomData<&'h str>,
}

impl<'h> Handshake<'h> {
    /// The handshake `server` stands for.
    ///
    /// # Safety
    ///
    /// The caller is `on_connect` for `server`, and does not return in `'h`.
    pub(crate) unsafe fn new(server: *const WebSocketServer, sender: &'h Sender) -> Self {
        Self {
            server,
            sender,
            subprotocol: None,
            request: PhantomData,
        }
    }

    /// A header of the request; its name may be written in any case. Of several with this name, httpd
    /// has made one, separated by commas.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'h str> {
        str::from_utf8(self.header_bytes(name)?).ok()
    }

    /// A header of the request, be it UTF-8 or not.
    #[must_use]
    pub fn header_bytes(&self, name: &str) -> Option<&'h [u8]> {
        let name = CString::new(name).ok()?;
        // SAFETY: the host keeps the table valid in `'h` (`new`), and the text it returns.
        unsafe { bytes(((*self.server).header_get)(self.server, name.as_ptr())) }
    }

    /// Names and values of the headers of the request, without those that are not UTF-8.
    #[must_use]
    pub fn headers(&self) -> Option<Headers<'h>> {
        self.extended()
            .map(|table| Headers::new(self.server, table))
    }

    /// The method of the request: `GET`.
    #[must_use]
    pub fn method(&self) -> Option<&'h str> {
        self.info(REQUEST_METHOD)
    }

    /// The request's target as the client sent it, with the query.
    #[must_use]
    pub fn uri(&self) -> Option<&'h str> {
        self.info(REQUEST_URI)
    }

    /// What follows, in the path, the section of httpd's configuration that names the plugin
    /// (`WebSocketHandler`): `/lobby` for `/chat/lobby` and `<Location "/chat">`, or for such a file or
    /// folder and `<Directory "/srv/www/chat">`; empty if nothing follows. It is decoded, and does not
    /// depend on which files there are. Behind a `<LocationMatch>` it is what follows the match, from its
    /// last slash if it ends with one. A plugin that is named for a whole server gets the whole path.
    #[must_use]
    pub fn path_info(&self) -> Option<&'h str> {
        self.info(REQUEST_PATH_INFO)
    }

    /// The query, without its question mark.
    #[must_use]
    pub fn query(&self) -> Option<&'h str> {
        self.info(REQUEST_QUERY)
    }

    /// The user whom httpd has authenticated, by whatever its configuration asks for (`AuthType`).
    #[must_use]
    pub fn user(&self) -> Option<&'h str> {
        self.info(REQUEST_USER)
    }

    /// The IP address of the client, as httpd sees it (mod_remoteip is taken into account).
    #[must_use]
    pub fn client_address(&self) -> Option<&'h str> {
        self.info(REQUEST_CLIENT_ADDRESS)
    }

    /// Whether the client came over TLS (`wss:`).
    #[must_use]
    pub fn is_tls(&self) -> Option<bool> {
        self.info(REQUEST_SCHEME).map(|scheme| scheme == "https")
    }

    /// The subprotocols the client offers, the one it likes best first (RFC 6455, section 1.9).
    pub fn subprotocols(&self) -> impl Iterator<Item = &'h str> + use<'h> {
        let server = self.server;
        // SAFETY: the host keeps the table valid in `'h` (`new`), which the iterator cannot outlive,
        // and the texts it returns.
        let count = unsafe { ((*server).protocol_count)(server) };
        (0..count).filter_map(move |index| {
            // SAFETY: as above.
            let offered = unsafe { bytes(((*server).protocol_index)(server, index)) };
            str::from_utf8(offered?).ok()
        })
    }

    /// Chooses the first of `supported` that the client offers; the response then names it. `None`, and
    /// a response that names none, if there is no such.
    pub fn negotiate_subprotocol<'s>(&mut self, supported: &[&'s str]) -> Option<&'s str> {
        let chosen = *supported
            .iter()
            .find(|s| self.subprotocols().any(|offered| offered == **s))?;
        let name = CString::new(chosen).ok()?;
        // SAFETY: the host keeps the table valid in `'h` (`new`) and copies the text.
        unsafe { ((*self.server).protocol_set)(self.server, name.as_ptr()) }
        self.subprotocol = Some(chosen.to_owned());
        Some(chosen)
    }

    /// The subprotocol that was chosen, here or by `#[websocket_plugin(subprotocols(...))]`.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Sets a header of the response that opens the connection.
    ///
    /// # Errors
    ///
    /// Name or value are not what a header may hold (RFC 9110, sections 5.1 and 5.5), or it is one that makes
    /// the response valid, which httpd sets: `Upgrade`, `Connection`, `Sec-WebSocket-Accept`,
    /// `Sec-WebSocket-Extensions`, and those that say how long a response is. With `?` that refuses the
    /// connection with 500.
    pub fn set_header(&mut self, name: &str, value: &str) -> Result<(), InvalidHeader> {
        let (name, value) = header::checked_for_opening(name, value)?;
        // SAFETY: the host keeps the table valid in `'h` (`new`) and copies the texts.
        unsafe { ((*self.server).header_set)(self.server, name.as_ptr(), value.as_ptr()) }
        Ok(())
    }

    /// The way to this client, to be kept. What is sent through it now goes out behind the response
    /// that opens the connection; if the connection is refused, it does not go out. Under the C module
    /// sending now [waits for ever](crate#the-c-module).
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    fn info(&self, item: c_int) -> Option<&'h str> {
        let table = self.extended()?;
        // SAFETY: the host keeps the table valid in `'h` (`new`), and the text it returns.
        let value = unsafe { bytes((table.request_info)(self.server, item)) };
        str::from_utf8(value?).ok()
    }

    fn extended(&self) -> Option<&'h ExtendedServer> {
        // SAFETY: the host keeps the table valid in `'h` (`new`).
        unsafe { ExtendedServer::extended(self.server) }
    }
}

/// # Safety
///
/// `text` is null or a C string that stays valid, and is not changed, in `'a`.
unsafe fn bytes<'a>(text: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: the caller vouches for the text.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
}
