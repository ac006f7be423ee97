//! Selects and answers one of the client's offers (RFC 7692, section 7.1).

use std::fmt;

use crate::protocol::extension::{Offer, offers};

const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// The largest window: 2^15 bytes.
pub(super) const MAX_WINDOW_BITS: u8 = 15;

/// The smallest window that zlib compresses with.
const MIN_WINDOW_BITS: u8 = 9;

/// The largest window for a client that lets the server choose its window and shares an inflater.
/// The server keeps this window for every such connection.
const SHARED_WINDOW_BITS: u8 = 12;

/// Whether messages may refer to earlier ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeflateContext {
    /// No, and connections share compressors and inflaters. Exception: the messages of clients that
    /// do not offer `client_no_context_takeover`.
    #[default]
    Shared,
    /// Yes, unless the client asks for no context takeover. Each connection has its own compressor
    /// and inflater.
    Connection,
}

/// The negotiated parameters of a connection. `Display` writes them as the value of
/// `Sec-WebSocket-Extensions` in the response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeflateParameters {
    /// The server does not refer to earlier messages.
    pub server_no_context_takeover: bool,
    /// The client does not refer to earlier messages.
    pub client_no_context_takeover: bool,
    /// The base-2 logarithm of the server's largest window, 9 to 15, if the client limits it.
    pub server_max_window_bits: Option<u8>,
    /// The base-2 logarithm of the client's largest window, if the client lets the server choose
    /// it.
    pub client_max_window_bits: Option<u8>,
    /// The server's setting. It is not sent to the client.
    pub context: DeflateContext,
}

impl DeflateParameters {
    /// Accepts the first acceptable offer in the client's `Sec-WebSocket-Extensions`.
    ///
    /// An offer is declined if a parameter is unknown, occurs twice or has an invalid value. An
    /// offer with a server window of 2^8 bytes is declined, too, because zlib cannot compress with
    /// so small a window.
    ///
    /// The response contains only parameters that the client offered. The RFC allows the server to
    /// ask for `client_no_context_takeover` without an offer (section 7.1.1.2), but not every
    /// client understands that.
    #[must_use]
    pub fn negotiate(extensions: &[u8], context: DeflateContext) -> Option<Self> {
        offers(extensions)
            .filter(|offer| offer.name == NAME)
            .find_map(|offer| Self::requested(&offer))
            .map(|requested| match context {
                DeflateContext::Connection => Self {
                    // An inflater takes the same memory for any window.
                    client_max_window_bits: None,
                    context,
                    ..requested
                },
                DeflateContext::Shared => Self {
                    server_no_context_takeover: true,
                    // Without context nothing is kept, so the window does not matter.
                    client_max_window_bits: requested
                        .client_max_window_bits
                        .filter(|_| !requested.client_no_context_takeover)
                        .map(|bits| bits.min(SHARED_WINDOW_BITS)),
                    context,
                    ..requested
                },
            })
    }

    /// The base-2 logarithm of the server's window.
    #[must_use]
    pub fn server_window_bits(&self) -> u8 {
        self.server_max_window_bits.unwrap_or(MAX_WINDOW_BITS)
    }

    /// The base-2 logarithm of the client's window.
    #[must_use]
    pub fn client_window_bits(&self) -> u8 {
        self.client_max_window_bits.unwrap_or(MAX_WINDOW_BITS)
    }

    /// The parameters that the client asks for, if the server supports them.
    fn requested(offer: &Offer<'_>) -> Option<Self> {
        let mut requested = Self::default();
        let mut seen = Vec::new();
        for parameter in &offer.parameters {
            if seen.contains(&parameter.name) {
                return None;
            }
            seen.push(parameter.name);
            match (parameter.name, parameter.value.as_deref()) {
                (SERVER_NO_CONTEXT_TAKEOVER, None) => requested.server_no_context_takeover = true,
                (CLIENT_NO_CONTEXT_TAKEOVER, None) => requested.client_no_context_takeover = true,
                (SERVER_MAX_WINDOW_BITS, Some(bits)) => {
                    let bits = window_bits(bits).filter(|&bits| bits >= MIN_WINDOW_BITS)?;
                    requested.server_max_window_bits = Some(bits);
                }
                // Without a value it only allows the server to limit the client's window.
                (CLIENT_MAX_WINDOW_BITS, None) => {
                    requested.client_max_window_bits = Some(MAX_WINDOW_BITS);
                }
                (CLIENT_MAX_WINDOW_BITS, Some(bits)) => {
                    requested.client_max_window_bits = Some(window_bits(bits)?);
                }
                _ => return None,
            }
        }
        Some(requested)
    }
}

impl fmt::Display for DeflateParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        if self.server_no_context_takeover {
            write!(f, "; {SERVER_NO_CONTEXT_TAKEOVER}")?;
        }
        if self.client_no_context_takeover {
            write!(f, "; {CLIENT_NO_CONTEXT_TAKEOVER}")?;
        }
        if let Some(bits) = self.server_max_window_bits {
            write!(f, "; {SERVER_MAX_WINDOW_BITS}={bits}")?;
        }
        if let Some(bits) = self.client_max_window_bits {
            write!(f, "; {CLIENT_MAX_WINDOW_BITS}={bits}")?;
        }
        Ok(())
    }
}

/// Parses a number from 8 to 15 without leading zeros (section 7.1.2).
fn window_bits(value: &str) -> Option<u8> {
    let is_plain = value.starts_with(|digit: char| matches!(digit, '1'..='9'));
    let bits = value.parse().ok().filter(|_| is_plain)?;
    (8..=MAX_WINDOW_BITS).contains(&bits).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::{DeflateContext, DeflateParameters};
    use DeflateContext::{Connection, Shared};

    fn answer(extensions: &str, context: DeflateContext) -> Option<String> {
        DeflateParameters::negotiate(extensions.as_bytes(), context)
            .map(|parameters| parameters.to_string())
    }

    #[test]
    fn with_its_own_context_a_connection_gets_what_the_client_asks_for() {
        for (offer, expected) in [
            ("permessage-deflate", "permessage-deflate"),
            (
                "permessage-deflate; client_max_window_bits",
                "permessage-deflate",
            ),
            (
                "permessage-deflate; client_max_window_bits=8",
                "permessage-deflate",
            ),
            (
                "permessage-deflate; server_no_context_takeover",
                "permessage-deflate; server_no_context_takeover",
            ),
            (
                "permessage-deflate; client_no_context_takeover",
                "permessage-deflate; client_no_context_takeover",
            ),
            (
                r#"permessage-deflate; server_max_window_bits="10""#,
                "permessage-deflate; server_max_window_bits=10",
            ),
            (
                "permessage-deflate ; server_max_window_bits=15 ; client_no_context_takeover;\
                 client_max_window_bits=\"15\"; server_no_context_takeover",
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                 server_max_window_bits=15",
            ),
        ] {
            let answered = answer(offer, Connection);
            assert_eq!(answered.as_deref(), Some(expected), "{offer}");
        }
    }

    #[test]
    fn with_a_shared_context_the_client_is_asked_only_for_what_it_offers() {
        let server = "permessage-deflate; server_no_context_takeover";
        let both = format!("{server}; client_no_context_takeover");
        for (offer, expected) in [
            ("", server.to_owned()),
            ("; server_no_context_takeover", server.to_owned()),
            ("; client_no_context_takeover", both.clone()),
            (
                "; client_no_context_takeover; client_max_window_bits=9",
                both.clone(),
            ),
            (
                "; client_no_context_takeover; server_max_window_bits=9",
                format!("{both}; server_max_window_bits=9"),
            ),
            (
                "; client_max_window_bits",
                format!("{server}; client_max_window_bits=12"),
            ),
            (
                "; client_max_window_bits=15",
                format!("{server}; client_max_window_bits=12"),
            ),
            (
                "; client_max_window_bits=8; server_max_window_bits=10",
                format!("{server}; server_max_window_bits=10; client_max_window_bits=8"),
            ),
        ] {
            let offer = format!("permessage-deflate{offer}");
            assert_eq!(answer(&offer, Shared), Some(expected), "{offer}");
        }
    }

    #[test]
    fn all_window_sizes_except_the_smallest_are_supported() {
        for bits in 0..=20 {
            let answered = answer(
                &format!("permessage-deflate; server_max_window_bits={bits}"),
                Connection,
            );
            let expected = (9..=15)
                .contains(&bits)
                .then(|| format!("permessage-deflate; server_max_window_bits={bits}"));
            assert_eq!(answered, expected);
            let answered = answer(
                &format!("permessage-deflate; client_max_window_bits={bits}"),
                Connection,
            );
            assert_eq!(answered.is_some(), (8..=15).contains(&bits), "{bits}");
        }
    }

    #[test]
    fn a_bad_offer_is_declined_and_the_next_one_considered() {
        for bad in [
            "permessage-deflate; unknown",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover=true",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=08",
            "permessage-deflate; server_max_window_bits=010",
            "permessage-deflate; server_max_window_bits=+9",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=265",
            "permessage-deflate; server_max_window_bits=1 0",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=ten",
            "permessage-deflate; client_max_window_bits=\"\"",
            "Permessage-Deflate",
            "x-webkit-deflate-frame",
            "deflate-stream",
            "permessage-bzip2",
        ] {
            assert_eq!(answer(bad, Shared), None, "{bad}");
            let both = format!("{bad}, permessage-deflate; server_max_window_bits=12");
            let expected = "permessage-deflate; server_max_window_bits=12";
            assert_eq!(
                answer(&both, Connection).as_deref(),
                Some(expected),
                "{both}"
            );
        }
    }

    #[test]
    fn the_first_acceptable_offer_is_accepted() {
        let offers = "other, permessage-deflate; server_max_window_bits=9, permessage-deflate";
        let expected = "permessage-deflate; server_max_window_bits=9";
        assert_eq!(answer(offers, Connection).as_deref(), Some(expected));
        assert_eq!(answer("", Connection), None);
        assert_eq!(answer("other; permessage-deflate", Connection), None);
    }
}
