//! Where a broker is.

use std::fmt;

/// What addresses look like.
const FORM: &str = "an address such as redis://host:6379/0 or nats://host:4222, or, with TLS, \
                    rediss://host or tls://host (for NATS)";

/// What a broker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Redis, or what speaks like it.
    Redis,
    /// NATS.
    Nats,
}

impl Kind {
    /// The kind, and whether connections are encrypted.
    fn of_scheme(scheme: &str) -> Option<(Self, bool)> {
        Some(match scheme {
            "redis" => (Self::Redis, false),
            "rediss" => (Self::Redis, true),
            "nats" => (Self::Nats, false),
            "tls" => (Self::Nats, true),
            _ => return None,
        })
    }

    fn scheme(self, has_tls: bool) -> &'static str {
        match (self, has_tls) {
            (Self::Redis, false) => "redis",
            (Self::Redis, true) => "rediss",
            (Self::Nats, false) => "nats",
            (Self::Nats, true) => "tls",
        }
    }

    /// The usual port, with TLS, too.
    fn port(self) -> u16 {
        match self {
            Self::Redis => 6379,
            Self::Nats => 4222,
        }
    }
}

/// Where a broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// What it is.
    pub kind: Kind,
    /// Whether the connection is encrypted.
    pub has_tls: bool,
    /// A name or an IP address, IPv6 without brackets.
    pub host: Box<str>,
    /// The TCP port.
    pub port: u16,
    /// The number of the database, for Redis.
    pub database: u16,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// What it should be. The text itself is not repeated after a password was found in it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("{FORM}, not '{text}'");
        let (scheme, rest) = text.split_once("://").ok_or_else(bad)?;
        if rest.contains('@') {
            return Err(format!(
                "{FORM}, without a user or a password, which other modules may show to visitors: \
                 put them in a file and add file:/path/of/the/file"
            ));
        }
        let (kind, has_tls) = Kind::of_scheme(scheme).ok_or_else(bad)?;
        let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = parse_place(place, kind.port()).ok_or_else(bad)?;
        let database = match (database, kind) {
            ("", _) => 0,
            (number, Kind::Redis) => parse_number(number).ok_or_else(bad)?,
            (_, Kind::Nats) => return Err(bad()),
        };
        Ok(Self {
            kind,
            has_tls,
            host,
            port,
            database,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            has_tls,
            host,
            port,
            database,
        } = self;
        let scheme = kind.scheme(*has_tls);
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")?;
        } else {
            write!(f, "{scheme}://{host}:{port}")?;
        }
        match kind {
            Kind::Redis => write!(f, "/{database}"),
            Kind::Nats => Ok(()),
        }
    }
}

fn parse_place(place: &str, usual_port: u16) -> Option<(Box<str>, u16)> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, rest)
        }
        None => place.split_at(place.find(':').unwrap_or(place.len())),
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_name) {
        return None;
    }
    let port = match port.strip_prefix(':') {
        Some(port) => parse_number(port).filter(|port| *port > 0)?,
        None if port.is_empty() => usual_port,
        None => return None,
    };
    Some((host.into(), port))
}

fn parse_number(text: &str) -> Option<u16> {
    let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits_only)
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn an_address_has_a_scheme_a_host_and_perhaps_a_port_and_a_database() {
        for (text, shown) in [
            ("redis://localhost", "redis://localhost:6379/0"),
            ("redis://localhost/", "redis://localhost:6379/0"),
            ("rediss://a-b.example:7/15", "rediss://a-b.example:7/15"),
            ("redis://127.0.0.1:80", "redis://127.0.0.1:80/0"),
            ("redis://[::1]", "redis://[::1]:6379/0"),
            ("redis://[::1]:1/2", "redis://[::1]:1/2"),
            ("nats://localhost", "nats://localhost:4222"),
            ("nats://[::1]:7/", "nats://[::1]:7"),
            ("tls://nats.example", "tls://nats.example:4222"),
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), shown);
        }
        for bad in [
            "",
            "localhost",
            "http://localhost",
            "redis:localhost",
            "redis://",
            "redis://:1",
            "redis://a:0",
            "redis://a:65536",
            "redis://a:+1",
            "redis://a:",
            "redis://a/x",
            "redis://a/0/1",
            "redis://a b",
            "redis://[::1",
            "redis://[a]",
            "redis://[::1]1",
            "redis://a?b",
            "nats://a/1",
            "nats://",
            "nats://a,b",
        ] {
            let message = Address::parse(bad).unwrap_err();
            assert!(message.ends_with(&format!("not '{bad}'")), "{message}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_repeated() {
        for text in ["redis://:secret@a", "nats://me:secret@a:1"] {
            let message = Address::parse(text).unwrap_err();
            assert!(message.contains("file:/") && !message.contains("secret"));
        }
    }
}
