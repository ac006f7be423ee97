//! [`Request`].

use crate::abi::{
    REQUEST_CLIENT_ADDRESS, REQUEST_CLIENT_PORT, REQUEST_METHOD, REQUEST_PATH_INFO, REQUEST_QUERY,
    REQUEST_SCHEME, REQUEST_URI, REQUEST_USER,
};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_int};

/// A client's request. The default is `GET /` from 127.0.0.1 without headers.
#[derive(Clone, Debug)]
pub struct Request {
    info: HashMap<c_int, CString>,
    headers: Vec<(CString, CString)>,
    variables: HashMap<CString, CString>,
    subprotocols: Vec<CString>,
}

impl Request {
    /// A plain request: `GET /` from 127.0.0.1.
    #[must_use]
    pub fn new() -> Self {
        let empty = Self {
            info: HashMap::new(),
            headers: Vec::new(),
            variables: HashMap::new(),
            subprotocols: Vec::new(),
        };
        empty
            .info(REQUEST_METHOD, "GET")
            .uri("/")
            .path_info("")
            .info(REQUEST_SCHEME, "http")
            .client_address("127.0.0.1")
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((text(name), text(value)));
        self
    }

    /// Sets the request target, as in the request line. This does not set path info and query.
    #[must_use]
    pub fn uri(self, uri: &str) -> Self {
        self.info(REQUEST_URI, uri)
    }

    /// Sets the part of the path after the section of httpd's configuration that names the plugin:
    /// `/lobby` for `/chat/lobby` and `<Location "/chat">`. The default is empty.
    #[must_use]
    pub fn path_info(self, path_info: &str) -> Self {
        self.info(REQUEST_PATH_INFO, path_info)
    }

    /// Sets the query, without a question mark.
    #[must_use]
    pub fn query(self, query: &str) -> Self {
        self.info(REQUEST_QUERY, query)
    }

    /// Sets the user that httpd has authenticated.
    #[must_use]
    pub fn user(self, user: &str) -> Self {
        self.info(REQUEST_USER, user)
    }

    /// Sets the client's IP address.
    #[must_use]
    pub fn client_address(self, address: &str) -> Self {
        self.info(REQUEST_CLIENT_ADDRESS, address)
    }

    /// Sets the client's TCP port.
    #[must_use]
    pub fn client_port(self, port: u16) -> Self {
        self.info(REQUEST_CLIENT_PORT, &port.to_string())
    }

    /// Makes the client connect over TLS.
    #[must_use]
    pub fn tls(self) -> Self {
        self.info(REQUEST_SCHEME, "https")
    }

    /// Sets one of httpd's variables, such as `SSL_CLIENT_S_DN`.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(text(name), text(value));
        self
    }

    /// Offers these subprotocols, the preferred one first.
    #[must_use]
    pub fn subprotocols(mut self, names: &[&str]) -> Self {
        self.subprotocols = names.iter().map(text).collect();
        self
    }

    fn info(mut self, item: c_int, value: &str) -> Self {
        self.info.insert(item, text(value));
        self
    }

    pub(super) fn find_info(&self, item: c_int) -> Option<&CStr> {
        self.info.get(&item).map(CString::as_c_str)
    }

    pub(super) fn find_variable(&self, name: &CStr) -> Option<&CStr> {
        self.variables.get(name).map(CString::as_c_str)
    }

    pub(super) fn find_header(&self, name: &CStr) -> Option<&CStr> {
        let is_it = |header: &&(CString, CString)| {
            header.0.as_bytes().eq_ignore_ascii_case(name.to_bytes())
        };
        self.headers
            .iter()
            .find(is_it)
            .map(|header| header.1.as_c_str())
    }

    pub(super) fn header_at(&self, index: usize) -> Option<(&CStr, &CStr)> {
        self.headers
            .get(index)
            .map(|(name, value)| (name.as_c_str(), value.as_c_str()))
    }

    pub(super) fn offered(&self) -> &[CString] {
        &self.subprotocols
    }
}

impl Default for Request {
    fn default() -> Self {
        Self::new()
    }
}

/// A text as httpd stores it. httpd's texts end at a NUL.
fn text(text: impl AsRef<[u8]>) -> CString {
    CString::new(text.as_ref()).expect("there is no NUL in a request")
}
