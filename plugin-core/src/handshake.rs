//! [`Handshake`] and [`Headers`].

#![allow(unsafe_code)]

mod facts;
mod headers;

pub(crate) use facts::Facts;
pub use headers::Headers;

use crate::abi::{
    REQUEST_CLIENT_ADDRESS, REQUEST_CLIENT_PORT, REQUEST_METHOD, REQUEST_PATH_INFO, REQUEST_QUERY,
    REQUEST_SCHEME, REQUEST_URI, REQUEST_USER, WebSocketServer,
};
use crate::header::{self, InvalidHeader};
use crate::{Sender, Subscribed, Subscription, TopicError, Topics};
use cookie::Cookie;
use facts::bytes;
use std::borrow::Cow;
use std::ffi::CString;

/// The opening handshake (RFC 6455, section 4): the client's request, and what the plugin may set
/// in the response.
///
/// [`Plugin::on_connect`](crate::Plugin::on_connect) borrows it. Texts of the request stay valid
/// until that callback returns. In the `on_connect` of an [async plugin](crate#async-plugins), that
/// includes the time that it waits: nothing else uses the request meanwhile.
///
/// The C module offers less than `mod_websocket` in Rust. If the C module loaded the plugin,
/// [`headers`](Self::headers) and all methods from [`method`](Self::method) to
/// [`is_tls`](Self::is_tls) return `None`. They also return `None` for a text that is not UTF-8.
pub struct Handshake<'h> {
    server: *const WebSocketServer,
    sender: &'h Sender,
    facts: Facts<'h>,
    subprotocol: Option<String>,
}

impl<'h> Handshake<'h> {
    /// The handshake of the connection to which `server` belongs.
    ///
    /// # Safety
    ///
    /// The caller is `on_connect` for `server` and does not return during `'h`.
    pub(crate) unsafe fn new(server: *const WebSocketServer, sender: &'h Sender) -> Self {
        Self {
            server,
            sender,
            // SAFETY: as for this function.
            facts: unsafe { Facts::new(server) },
            subprotocol: None,
        }
    }

    /// The value of a request header, if it is UTF-8. The case of the name does not matter. httpd
    /// joins several headers of the same name into one, separated by commas.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'h str> {
        str::from_utf8(self.header_bytes(name)?).ok()
    }

    /// The value of a request header, UTF-8 or not.
    #[must_use]
    pub fn header_bytes(&self, name: &str) -> Option<&'h [u8]> {
        let name = CString::new(name).ok()?;
        // SAFETY: the host keeps the table valid during `'h` (`new`), and the text that it returns.
        unsafe { bytes(((*self.server).header_get)(self.server, name.as_ptr())) }
    }

    /// The names and values of all request headers, except those that are not UTF-8.
    #[must_use]
    pub fn headers(&self) -> Option<Headers<'h>> {
        self.facts
            .table()
            .map(|table| Headers::new(self.server, table))
    }

    /// The method of the request: `GET`.
    #[must_use]
    pub fn method(&self) -> Option<&'h str> {
        self.facts.text(REQUEST_METHOD)
    }

    /// The request target as the client sent it, with the query.
    #[must_use]
    pub fn uri(&self) -> Option<&'h str> {
        self.facts.text(REQUEST_URI)
    }

    /// The part of the path that follows the section of httpd's configuration with the plugin's
    /// `WebSocketHandler`. It is `/lobby` for a request for `/chat/lobby` and `<Location "/chat">`,
    /// or for `/srv/www/chat/lobby` and `<Directory "/srv/www/chat">`. It is empty if nothing
    /// follows.
    ///
    /// The path is decoded and does not depend on which files exist. For a `<LocationMatch>` it is
    /// the part after the match, from the match's last slash if the match ends with one. A plugin
    /// that is named for a whole server gets the whole path.
    #[must_use]
    pub fn path_info(&self) -> Option<&'h str> {
        self.facts.text(REQUEST_PATH_INFO)
    }

    /// The query, without its question mark.
    #[must_use]
    pub fn query(&self) -> Option<&'h str> {
        self.facts.text(REQUEST_QUERY)
    }

    /// The first value of a parameter of the query, decoded: `a b` for `room` in `?room=a+b`
    /// (WHATWG URL, `application/x-www-form-urlencoded`).
    #[must_use]
    pub fn query_value(&self, name: &str) -> Option<Cow<'h, str>> {
        self.query_values()
            .find_map(|(known, value)| (known == name).then_some(value))
    }

    /// The parameters of the query, decoded, in their order.
    pub fn query_values(&self) -> impl Iterator<Item = (Cow<'h, str>, Cow<'h, str>)> + use<'h> {
        form_urlencoded::parse(self.query().unwrap_or_default().as_bytes())
    }

    /// The value of a cookie (RFC 6265, section 4.2), as it stands in the header `Cookie`. If there
    /// are several of this name, the first, which has the longest path.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&'h str> {
        let mut cookies = Cookie::split_parse(self.header("Cookie")?).flatten();
        cookies.find(|cookie| cookie.name() == name)?.value_raw()
    }

    /// The user that httpd has authenticated, with whatever `AuthType` configures.
    #[must_use]
    pub fn user(&self) -> Option<&'h str> {
        self.facts.text(REQUEST_USER)
    }

    /// The IP address of the client as httpd sees it, which mod_remoteip may have set.
    #[must_use]
    pub fn client_address(&self) -> Option<&'h str> {
        self.facts.text(REQUEST_CLIENT_ADDRESS)
    }

    /// The TCP port of the client as httpd sees it. `None` as well under versions of
    /// `mod_websocket` that do not tell.
    #[must_use]
    pub fn client_port(&self) -> Option<u16> {
        self.facts.text(REQUEST_CLIENT_PORT)?.parse().ok()
    }

    /// Whether the client connected over TLS (`wss:`).
    #[must_use]
    pub fn is_tls(&self) -> Option<bool> {
        self.facts
            .text(REQUEST_SCHEME)
            .map(|scheme| scheme == "https")
    }

    /// One of httpd's variables for this request: one that `SetEnv`, `SetEnvIf` or mod_rewrite has
    /// set, or one of mod_ssl's, such as `SSL_PROTOCOL` (`TLSv1.3`), `SSL_CLIENT_S_DN` (the subject
    /// of the client's certificate) or `SSL_CLIENT_VERIFY` (`SUCCESS` if httpd has verified it).
    /// `None` as well if the value is empty or not UTF-8, and under versions of `mod_websocket`
    /// that do not tell.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&'h str> {
        let name = CString::new(name).ok()?;
        self.facts.variable(&name)
    }

    /// The subprotocols that the client offers, in the client's order of preference (RFC 6455,
    /// section 1.9).
    pub fn subprotocols(&self) -> impl Iterator<Item = &'h str> + use<'h> {
        let server = self.server;
        // SAFETY: the host keeps the table and the texts that it returns valid during `'h` (`new`),
        // and the iterator cannot outlive `'h`.
        let count = unsafe { ((*server).protocol_count)(server) };
        (0..count).filter_map(move |index| {
            // SAFETY: as above.
            let offered = unsafe { bytes(((*server).protocol_index)(server, index)) };
            str::from_utf8(offered?).ok()
        })
    }

    /// Chooses the first of `supported` that the client offers, and names it in the response. If
    /// the client offers none of them, returns `None`, and the response names no subprotocol.
    pub fn negotiate_subprotocol<'s>(&mut self, supported: &[&'s str]) -> Option<&'s str> {
        let chosen = *supported
            .iter()
            .find(|s| self.subprotocols().any(|offered| offered == **s))?;
        let name = CString::new(chosen).ok()?;
        // SAFETY: the host keeps the table valid during `'h` (`new`) and copies the text.
        unsafe { ((*self.server).protocol_set)(self.server, name.as_ptr()) }
        self.subprotocol = Some(chosen.to_owned());
        Some(chosen)
    }

    /// The chosen subprotocol: by [`negotiate_subprotocol`](Self::negotiate_subprotocol), or by
    /// `#[websocket_plugin(subprotocols(...))]`.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Sets a header of the response that opens the connection.
    ///
    /// # Errors
    ///
    /// * The name or the value is not valid in a header (RFC 9110, sections 5.1 and 5.5).
    /// * httpd itself sets the header, to make the response valid: `Upgrade`, `Connection`,
    ///   `Sec-WebSocket-Accept`, `Sec-WebSocket-Extensions`, and the headers that give the length
    ///   of a response.
    ///
    /// With `?` the error refuses the connection with 500.
    pub fn set_header(&mut self, name: &str, value: &str) -> Result<(), InvalidHeader> {
        let (name, value) = header::checked_for_opening(name, value)?;
        // SAFETY: the host keeps the table valid during `'h` (`new`) and copies the texts.
        unsafe { ((*self.server).header_set)(self.server, name.as_ptr(), value.as_ptr()) }
        Ok(())
    }

    /// A [`Sender`] to this client, which may be kept. Messages that are sent now follow the
    /// response that opens the connection. If the plugin refuses the connection, they are
    /// discarded. Under the C module, sending now [deadlocks](crate#the-c-module).
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Sends the client all messages of a topic, or of those that a pattern describes, after the
    /// response that opens the connection. See [`Sender::subscribe`].
    ///
    /// # Errors
    ///
    /// Those of [`Sender::subscribe`]. With `?` the error refuses the connection with 500.
    pub fn subscribe<'s>(
        &self,
        subscription: impl Into<Subscription<'s>>,
    ) -> Result<Subscribed, TopicError> {
        self.sender.subscribe(subscription)
    }

    /// The topics of the virtual host, or of the space that `WebSocketTopicSpace` names. The plugin
    /// may keep them and use them from any thread.
    ///
    /// # Errors
    ///
    /// [`TopicError::Unsupported`]: the module that has loaded the plugin has no topics.
    pub fn topics(&self) -> Result<Topics, TopicError> {
        // SAFETY: the host keeps the table valid during `'h` (`new`).
        unsafe { Topics::of(self.server) }
    }
}
