//! Opening handshakes as a client writes them, valid or not, and the responses.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};

/// The key of the example in RFC 6455, section 1.3, and its accept value.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A request, valid until it is changed.
#[derive(Clone)]
pub(crate) struct Handshake {
    request_line: String,
    headers: Vec<(String, String)>,
}

impl Handshake {
    /// Asks for a WebSocket of version 13 at `target`.
    pub(crate) fn to(target: &str) -> Self {
        let headers = [
            ("Host", "localhost"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", KEY),
            ("Sec-WebSocket-Version", "13"),
        ];
        Self {
            request_line: format!("GET {target} HTTP/1.1"),
            headers: headers
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
        }
    }

    pub(crate) fn request_line(self, request_line: &str) -> Self {
        Self {
            request_line: request_line.into(),
            ..self
        }
    }

    /// Sets a header, and replaces earlier values.
    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        self.without(name).and(name, value)
    }

    /// Adds a header, even if there is one with this name.
    pub(crate) fn and(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers
            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self
    }

    pub(crate) fn version(self, version: u8) -> Self {
        self.header("Sec-WebSocket-Version", &version.to_string())
    }

    /// The request target.
    pub(crate) fn target(&self) -> &str {
        self.request_line.split(' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.request_line);
        for (name, value) in &self.headers {
            write!(text, "{name}: {value}\r\n").expect("a String takes everything");
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}

/// The head of an HTTP response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The reason phrase after the status.
    pub(crate) reason: String,
    headers: Vec<(String, String)>,
}

impl Response {
    /// Parses the head of a response, without its empty line.
    pub(crate) fn parse(head: &str) -> Result<Self> {
        let mut lines = head.lines();
        let mut status_line = lines.next().unwrap_or_default().splitn(3, ' ').skip(1);
        let status = status_line.next().and_then(|status| status.parse().ok());
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_owned(), value.trim().to_owned()))
        };
        Ok(Self {
            status: status.with_context(|| format!("no HTTP response: {head:?}"))?,
            reason: status_line.next().unwrap_or_default().to_owned(),
            headers: lines.filter_map(header).collect(),
        })
    }

    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
    /// The values of all headers of this name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let found = self
            .headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str()).collect()
    }
}
