//! The client's opening handshake (RFC 6455, section 4.2).

use std::fmt;
use std::ops::Deref;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest as _, Sha1};

use super::fields::{elements, is_token, trim_blanks};
use super::version::{SUPPORTED_VERSIONS, Version};
use super::{DeflateContext, DeflateParameters};

#[cfg(test)]
mod tests;

/// The server appends this to the client's key to prove that it speaks WebSocket (section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The length of a key in bytes, and in base64.
const KEY_LEN: usize = 16;
const ENCODED_KEY_LEN: usize = 24;

/// The parts of an HTTP request that the opening handshake needs.
///
/// Header values are raw bytes. The values of a repeated header are joined with `, `.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a [u8],
    /// Whether the client asks only for the head of the response (`HEAD`). Otherwise httpd treats
    /// it as a `GET`.
    pub head_only: bool,
    /// Whether the request is HTTP/1.1 or later.
    pub http_1_1: bool,
    /// `Upgrade`.
    pub upgrade: Option<&'a [u8]>,
    /// `Connection`.
    pub connection: Option<&'a [u8]>,
    /// `Host`.
    pub host: Option<&'a [u8]>,
    /// `Sec-WebSocket-Key`.
    pub key: Option<&'a [u8]>,
    /// `Sec-WebSocket-Version`.
    pub version: Option<&'a [u8]>,
    /// `Sec-WebSocket-Protocol`.
    pub subprotocols: Option<&'a [u8]>,
    /// `Sec-WebSocket-Extensions`.
    pub extensions: Option<&'a [u8]>,
    /// `Origin`.
    pub origin: Option<&'a [u8]>,
    /// `Sec-WebSocket-Origin`, the name of `Origin` in the draft for version 7.
    pub sec_websocket_origin: Option<&'a [u8]>,
    /// `Content-Length`.
    pub content_length: Option<&'a [u8]>,
    /// Whether there is a `Transfer-Encoding`, with any value.
    pub has_transfer_encoding: bool,
}

impl RequestHead<'_> {
    fn asks_for_websocket(&self) -> bool {
        self.http_1_1
            && has_token(self.upgrade, b"websocket")
            && has_token(self.connection, b"upgrade")
    }

    /// Whether a body may follow. A length that is not a number counts as a body.
    fn announces_body(&self) -> bool {
        let is_zero = |length: &[u8]| {
            let digits = trim_blanks(length);
            !digits.is_empty() && digits.iter().all(|digit| *digit == b'0')
        };
        self.has_transfer_encoding || self.content_length.is_some_and(|length| !is_zero(length))
    }
}

/// A valid opening handshake.
#[derive(Clone, Debug)]
pub struct ClientHandshake<'a> {
    /// The client's version of the protocol.
    pub version: Version,
    /// The subprotocols that the client offers, in its order of preference. May be empty.
    pub subprotocols: Vec<&'a str>,
    /// The origin of the page that the client runs in, if the client sent one.
    pub origin: Option<&'a [u8]>,
    key: &'a [u8],
    extensions: &'a [u8],
}

impl<'a> ClientHandshake<'a> {
    /// Checks a request. Returns `None` if it does not ask for a WebSocket; another handler must
    /// then answer it.
    ///
    /// # Errors
    ///
    /// The reason why it is a bad request. The version is checked before the key, so that a client
    /// with another version gets the list of supported versions.
    pub fn parse(head: &RequestHead<'a>) -> Result<Option<Self>, HandshakeError> {
        if !head.asks_for_websocket() {
            return Ok(None);
        }
        if head.method != b"GET" || head.head_only {
            return Err(HandshakeError::Method);
        }
        if head.host.is_none() {
            return Err(HandshakeError::NoHost);
        }
        if head.announces_body() {
            return Err(HandshakeError::Body);
        }
        let version = head
            .version
            .and_then(Version::parse)
            .ok_or(HandshakeError::Version)?;
        let key = head
            .key
            .filter(|key| is_key(key))
            .ok_or(HandshakeError::Key)?;
        let subprotocols = head
            .subprotocols
            .map_or(Ok(Vec::new()), parse_subprotocols)?;
        let origin = match version {
            Version::V7 => head.sec_websocket_origin,
            Version::V8 | Version::V13 => head.origin,
        };
        Ok(Some(Self {
            version,
            subprotocols,
            origin,
            key,
            extensions: head.extensions.unwrap_or_default(),
        }))
    }

    /// The parameters that answer the client's offers of compression. `None` if no offer is
    /// acceptable; messages are then not compressed.
    ///
    /// The drafts for versions 7 and 8 are older than RFC 7692, so offers from their clients are
    /// ignored.
    #[must_use]
    pub fn deflate(&self, context: DeflateContext) -> Option<DeflateParameters> {
        (self.version == Version::V13)
            .then(|| DeflateParameters::negotiate(self.extensions, context))
            .flatten()
    }

    /// The value of `Sec-WebSocket-Accept` in the response.
    #[must_use]
    pub fn accept(&self) -> AcceptKey {
        let digest = Sha1::new()
            .chain_update(self.key)
            .chain_update(GUID)
            .finalize();
        let mut accept = [0; AcceptKey::LEN];
        BASE64
            .encode_slice(digest, &mut accept)
            .expect("20 bytes make 28 in base64");
        AcceptKey(accept)
    }
}

/// A value of `Sec-WebSocket-Accept` (section 4.2.2). Dereferences to its 28 characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptKey([u8; Self::LEN]);

impl AcceptKey {
    const LEN: usize = 28;
}

impl Deref for AcceptKey {
    type Target = str;

    fn deref(&self) -> &str {
        str::from_utf8(&self.0).expect("base64 is ASCII")
    }
}

/// The reason why an opening handshake is a bad request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// The method is not `GET`.
    Method,
    /// There is no `Host`.
    NoHost,
    /// The request announces a body (RFC 9110, section 8.6; RFC 9112, section 6). A proxy could
    /// take the bytes after the head for this body, and the server could take them for frames.
    /// Request smuggling uses such a difference.
    Body,
    /// `Sec-WebSocket-Version` is missing, malformed or not one of [`SUPPORTED_VERSIONS`]. The
    /// response must name the supported versions.
    Version,
    /// `Sec-WebSocket-Key` is missing or not the base64 of 16 bytes.
    Key,
    /// `Sec-WebSocket-Protocol` is not a list of tokens.
    Subprotocols,
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "the method must be GET",
            Self::NoHost => "the Host header is missing",
            Self::Body => "the request must not have a body",
            Self::Version => {
                return write!(
                    f,
                    "Sec-WebSocket-Version must be one of {SUPPORTED_VERSIONS}"
                );
            }
            Self::Key => "Sec-WebSocket-Key must be the base64 of 16 bytes",
            Self::Subprotocols => {
                "Sec-WebSocket-Protocol must be a list of tokens separated by commas"
            }
        })
    }
}

impl std::error::Error for HandshakeError {}

/// Whether `key` is canonical base64 of 16 bytes.
fn is_key(key: &[u8]) -> bool {
    let mut decoded = [0; ENCODED_KEY_LEN];
    key.len() == ENCODED_KEY_LEN && BASE64.decode_slice(key, &mut decoded) == Ok(KEY_LEN)
}

fn parse_subprotocols(list: &[u8]) -> Result<Vec<&str>, HandshakeError> {
    let subprotocols = elements(list)
        .map(|element| {
            str::from_utf8(element)
                .ok()
                .filter(|element| is_token(element))
        })
        .collect::<Option<Vec<_>>>()
        .ok_or(HandshakeError::Subprotocols)?;
    if subprotocols.is_empty() {
        return Err(HandshakeError::Subprotocols);
    }
    Ok(subprotocols)
}

fn has_token(list: Option<&[u8]>, token: &[u8]) -> bool {
    list.is_some_and(|list| elements(list).any(|element| element.eq_ignore_ascii_case(token)))
}
