//! The URL of a WebSocket.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use anyhow::{Context, Error, Result, bail, ensure};

/// A `ws://` or `wss://` URL. `http://` and `https://` stand for the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whether it is `wss://`.
    pub is_secure: bool,
    /// The host, without the brackets of an IPv6 address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path with the query.
    pub path: String,
}

impl FromStr for Url {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (scheme, rest) = text
            .split_once("://")
            .context("it does not begin with ws:// or wss://")?;
        let is_secure = match &*scheme.to_ascii_lowercase() {
            "ws" | "http" => false,
            "wss" | "https" => true,
            _ => bail!("it does not begin with ws:// or wss://"),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (host, port) = host_and_port(authority, if is_secure { 443 } else { 80 })?;
        let is_plain = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
        ensure!(!host.is_empty(), "it has no host");
        ensure!(
            is_plain(host) && is_plain(path),
            "it has spaces or special characters"
        );
        ensure!(
            !host.contains('@'),
            "it has a user name; browsers send none"
        );
        Ok(Self {
            is_secure,
            host: host.to_owned(),
            port,
            path: if path.starts_with('/') {
                path.to_owned()
            } else {
                format!("/{path}")
            },
        })
    }
}

fn host_and_port(authority: &str, default: u16) -> Result<(&str, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').context("a bracket is missing")?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    Ok(match port.strip_prefix(':') {
        Some(port) => (host, port.parse().context("its port is no port")?),
        None => (host, default),
    })
}

impl Url {
    /// The host, and the port if it is not the default, as in the header `Host`.
    #[must_use]
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.clone()
        };
        let default = if self.is_secure { 443 } else { 80 };
        if *port == default {
            host
        } else {
            format!("{host}:{port}")
        }
    }

    /// The origin of the site's own pages.
    #[must_use]
    pub fn origin(&self) -> String {
        let scheme = if self.is_secure { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }
}

impl Display for Url {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (text, shown, origin) in [
            ("ws://a", "ws://a/", "http://a"),
            (
                "wss://a.example/b?c=d#e",
                "wss://a.example/b?c=d",
                "https://a.example",
            ),
            ("http://a:80/x", "ws://a/x", "http://a"),
            ("HTTPS://a:8443?x", "wss://a:8443/?x", "https://a:8443"),
            (
                "ws://[::1]:8080/echo",
                "ws://[::1]:8080/echo",
                "http://[::1]:8080",
            ),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!((&*url.to_string(), &*url.origin()), (shown, origin));
        }
        for bad in [
            "",
            "a.example/b",
            "ftp://a",
            "ws://",
            "ws://a:x",
            "ws://a b",
            "ws://[::1",
            "ws://u@a",
        ] {
            assert!(bad.parse::<Url>().is_err(), "{bad}");
        }
    }
}
