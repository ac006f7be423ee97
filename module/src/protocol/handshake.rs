//! The client's opening handshake (RFC 6455, section 4.2).

use std::fmt;
use std::ops::Deref;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest as _, Sha1};

use super::{DeflateContext, DeflateParameters};

#[cfg(test)]
mod tests;

/// The value of `Sec-WebSocket-Version` that goes with [`HandshakeError::Version`] (section 4.4).
pub const SUPPORTED_VERSIONS: &str = "13, 8, 7";

/// What is appended to the client's key to prove that the server speaks WebSocket (section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Length of a key, in bytes and in base64.
const KEY_LEN: usize = 16;
const ENCODED_KEY_LEN: usize = 24;

/// What the opening handshake needs of an HTTP request.
///
/// Header values are raw bytes; where a header is repeated, its values are joined with `, `.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a [u8],
    /// Whether only a head is asked for, as by `HEAD`, which httpd otherwise treats as a `GET`.
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
    /// `Sec-WebSocket-Origin`, which the draft behind version 7 used for `Origin`.
    pub sec_websocket_origin: Option<&'a [u8]>,
    /// `Content-Length`.
    pub content_length: Option<&'a [u8]>,
    /// Whether there is a `Transfer-Encoding`, whatever it says.
    pub has_transfer_encoding: bool,
}

impl RequestHead<'_> {
    fn asks_for_websocket(&self) -> bool {
        self.http_1_1
            && has_token(self.upgrade, b"websocket")
            && has_token(self.connection, b"upgrade")
    }

    /// Whether a body may follow. A length that is no number counts as one.
    fn announces_body(&self) -> bool {
        let is_zero = |length: &[u8]| {
            let digits = trim_blanks(length);
            !digits.is_empty() && digits.iter().all(|digit| *digit == b'0')
        };
        self.has_transfer_encoding || self.content_length.is_some_and(|length| !is_zero(length))
    }
}

/// The version of the protocol the client speaks. On the wire they differ only in the handshake and
/// in one status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Draft 7 of what became RFC 6455.
    V7,
    /// Drafts 8 to 12.
    V8,
    /// RFC 6455.
    V13,
}

impl Version {
    /// Exact values are enough: other spellings of these numbers, as `013`, are malformed.
    fn parse(value: &[u8]) -> Option<Self> {
        match value {
            b"7" => Some(Self::V7),
            b"8" => Some(Self::V8),
            b"13" => Some(Self::V13),
            _ => None,
        }
    }
}

/// A correct opening handshake.
#[derive(Clone, Debug)]
pub struct ClientHandshake<'a> {
    /// The version of the protocol the client speaks.
    pub version: Version,
    /// The subprotocols the client offers, the one it likes best first. May be empty.
    pub subprotocols: Vec<&'a str>,
    /// The page the client runs in, if it names one.
    pub origin: Option<&'a [u8]>,
    key: &'a [u8],
    extensions: &'a [u8],
}

impl<'a> ClientHandshake<'a> {
    /// Checks a request. `None` says that it does not ask for a WebSocket and is for others to
    /// answer.
    ///
    /// # Errors
    ///
    /// What makes it a bad request. The version is judged before the key, so that a client of
    /// another age learns which versions there are.
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

    /// What to answer to the client's offers of compression. `None` if there is none that can be
    /// accepted: messages are not compressed then.
    ///
    /// The drafts behind versions 7 and 8 are older than RFC 7692; their clients are not compressed
    /// for, whatever they offer.
    #[must_use]
    pub fn deflate(&self, context: DeflateContext) -> Option<DeflateParameters> {
        (self.version == Version::V13)
            .then(|| DeflateParameters::negotiate(self.extensions, context))
            .flatten()
    }

    /// The value of `Sec-WebSocket-Accept` in the answer.
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

/// Why an opening handshake is a bad request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// The method is not `GET`.
    Method,
    /// There is no `Host`.
    NoHost,
    /// The request announces a body (RFC 9110, section 8.6; RFC 9112, section 6). The bytes behind
    /// the head would be that body for one party and frames for another, which is how requests are
    /// smuggled past a proxy.
    Body,
    /// `Sec-WebSocket-Version` is missing, malformed or none of [`SUPPORTED_VERSIONS`], which the
    /// answer must name.
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
            Self::Body => "it must not have a body",
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

/// A token in the sense of RFC 9110, section 5.6.2. Must not be empty.
pub(super) fn is_token(element: &str) -> bool {
    element
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn has_token(list: Option<&[u8]>, token: &[u8]) -> bool {
    list.is_some_and(|list| elements(list).any(|element| element.eq_ignore_ascii_case(token)))
}

/// The elements of a list that are not empty (RFC 9110, section 5.6.1), without the blanks around
/// them.
fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',')
        .map(trim_blanks)
        .filter(|element| !element.is_empty())
}

pub(super) fn trim_blanks(mut element: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = element {
        element = rest;
    }
    element
}
