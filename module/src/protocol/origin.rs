//! The check of origins (RFC 6455, section 10.2).

mod form;
#[cfg(test)]
mod tests;

pub use form::form_to_use;

use std::fmt;
use std::net::Ipv6Addr;

/// The policy for the origin that a browser sends.
#[derive(Clone, Copy, Debug, Default, Hash, PartialEq, Eq)]
pub enum OriginPolicy {
    /// Every origin may connect.
    Off,
    /// Only the origin of the server itself may connect.
    #[default]
    Same,
    /// Only origins from a list may connect.
    Trusted,
}

/// The server's own address, as httpd sees it in the request.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// `http` or `https`.
    pub scheme: &'a [u8],
    /// The host name or address. An IPv6 address may be with or without brackets.
    pub host: &'a [u8],
    /// The port.
    pub port: u16,
}

impl OriginPolicy {
    /// Whether a request with this origin may connect to `site`. A client without an origin is not
    /// a page in a browser and may always connect.
    ///
    /// Two origins are the same if they have the same scheme, host and port (RFC 6454, section 5).
    /// The comparison ignores the case of scheme and host (section 4; RFC 6455, section 4.2.2) and
    /// a dot at the end of the host. A missing port stands for the scheme's default. An origin that
    /// is not `scheme://host[:port]`, such as `null`, must be equal byte for byte.
    #[must_use]
    pub fn allows(
        self,
        origin: Option<&[u8]>,
        site: &Site<'_>,
        trusted: &[impl AsRef<[u8]>],
    ) -> bool {
        let Some(origin) = origin else {
            return true;
        };
        match self {
            Self::Off => true,
            Self::Same => {
                Origin::parse(origin).is_some_and(|origin| origin.is_same(&site.origin()))
            }
            Self::Trusted => {
                let parsed = Origin::parse(origin);
                trusted.iter().map(AsRef::as_ref).any(|trusted| {
                    trusted == origin
                        || parsed
                            .zip(Origin::parse(trusted))
                            .is_some_and(|(one, other)| one.is_same(&other))
                })
            }
        }
    }
}

impl fmt::Display for OriginPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "Off",
            Self::Same => "Same",
            Self::Trusted => "Trusted",
        })
    }
}

impl<'a> Site<'a> {
    /// Whether `origin` is this host over TLS, while this site is without TLS. This happens behind
    /// a proxy that terminates TLS.
    #[must_use]
    pub fn is_tls_twin(&self, origin: &[u8]) -> bool {
        let own = Origin {
            scheme: b"https",
            ..self.origin()
        };
        !self.scheme.eq_ignore_ascii_case(b"https")
            && Origin::parse(origin).is_some_and(|origin| {
                origin.is_same(&Origin {
                    port: origin.port,
                    ..own
                })
            })
    }

    fn origin(&self) -> Origin<'a> {
        Origin {
            scheme: self.scheme,
            host: without_final_dot(unbracketed(self.host)),
            port: Some(self.port),
        }
    }
}

/// The origin of the site's own pages, as a browser writes it (RFC 6454, section 6.2).
impl fmt::Display for Site<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy;
        let Origin { scheme, host, .. } = self.origin();
        let (scheme, host) = (text(scheme), text(host));
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]")?;
        } else {
            write!(f, "{scheme}://{host}")?;
        }
        match default_port(self.scheme) {
            Some(port) if port == self.port => Ok(()),
            _ => write!(f, ":{}", self.port),
        }
    }
}

/// The parts of an origin.
#[derive(Clone, Copy, Debug)]
struct Origin<'a> {
    scheme: &'a [u8],
    /// Without the brackets of an IPv6 address, and without a dot at the end.
    host: &'a [u8],
    /// `None` if there is no port and the scheme has no default.
    port: Option<u16>,
}

impl<'a> Origin<'a> {
    /// Parses `scheme://host[:port]`.
    fn parse(text: &'a [u8]) -> Option<Self> {
        let colon = text.iter().position(|byte| *byte == b':')?;
        let (scheme, rest) = text.split_at(colon);
        let rest = rest.strip_prefix(b"://").filter(|_| is_scheme(scheme))?;
        let (host, port) = split_port(rest)?;
        let port = match port {
            Some(digits) => Some(parse_port(digits)?),
            None => default_port(scheme),
        };
        if host.is_empty() || host.contains(&b'/') {
            return None;
        }
        Some(Self { scheme, host, port })
    }

    fn is_same(&self, other: &Self) -> bool {
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && self.port == other.port
            && (self.host.eq_ignore_ascii_case(other.host)
                || address(self.host)
                    .zip(address(other.host))
                    .is_some_and(|(one, other)| one == other))
    }
}

/// Whether `text` is a URI scheme (RFC 3986, section 3.1).
fn is_scheme(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
}

/// Splits `host[:port]`. An IPv6 address must be in brackets.
fn split_port(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    if let Some(rest) = text.strip_prefix(b"[") {
        let end = rest.iter().position(|byte| *byte == b']')?;
        let (host, rest) = (&rest[..end], &rest[end + 1..]);
        address(host)?;
        return match rest {
            [] => Some((host, None)),
            [b':', port @ ..] => Some((host, Some(port))),
            _ => None,
        };
    }
    let mut parts = text.splitn(2, |byte| *byte == b':');
    let host = without_final_dot(parts.next()?);
    Some((host, parts.next()))
}

/// Parses a port as browsers write it, without leading zeros.
fn parse_port(digits: &[u8]) -> Option<u16> {
    let is_plain = digits
        .first()
        .is_some_and(|first| (b'1'..=b'9').contains(first));
    str::from_utf8(digits)
        .ok()
        .filter(|_| is_plain)?
        .parse()
        .ok()
}

const fn default_port(scheme: &[u8]) -> Option<u16> {
    if scheme.eq_ignore_ascii_case(b"http") {
        Some(80)
    } else if scheme.eq_ignore_ascii_case(b"https") {
        Some(443)
    } else {
        None
    }
}

fn address(host: &[u8]) -> Option<Ipv6Addr> {
    str::from_utf8(host).ok()?.parse().ok()
}

fn unbracketed(host: &[u8]) -> &[u8] {
    let inner = host
        .strip_prefix(b"[")
        .and_then(|host| host.strip_suffix(b"]"));
    inner.unwrap_or(host)
}

/// Removes the dot that makes a domain name absolute. Browsers keep it in `Host` and in `Origin`,
/// while httpd removes it from `Host`. The name belongs to the same host with and without it.
fn without_final_dot(host: &[u8]) -> &[u8] {
    host.strip_suffix(b".").unwrap_or(host)
}
