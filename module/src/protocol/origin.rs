//! Which pages may connect (RFC 6455, section 10.2).

/// How the origin a browser names is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OriginPolicy {
    /// Every origin may connect.
    Off,
    /// Only pages of the site that is asked may connect.
    #[default]
    Same,
    /// Only origins from a list may connect.
    Trusted,
}

/// Where the request was sent, as the server sees it.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// `http` or `https`.
    pub scheme: &'a [u8],
    /// The host name or address; an IPv6 address with or without its brackets.
    pub host: &'a [u8],
    /// The port.
    pub port: u16,
}

impl OriginPolicy {
    /// Whether a request with this origin may connect to `site`. Origins are compared byte for
    /// byte. A client that names none is not a page in a browser and may always connect.
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
            Self::Same => site.is_origin(origin),
            Self::Trusted => trusted.iter().any(|trusted| trusted.as_ref() == origin),
        }
    }
}

impl Site<'_> {
    /// Whether `origin` is this site's as RFC 6454, section 6.2, writes it:
    /// `scheme://host[:port]`, without a port that is the scheme's default.
    fn is_origin(&self, origin: &[u8]) -> bool {
        origin
            .strip_prefix(self.scheme)
            .and_then(|rest| rest.strip_prefix(b"://"))
            .and_then(|rest| self.strip_host(rest))
            .is_some_and(|port| self.is_port(port))
    }

    fn strip_host<'o>(&self, origin: &'o [u8]) -> Option<&'o [u8]> {
        if self.host.contains(&b':') && !self.host.starts_with(b"[") {
            origin
                .strip_prefix(b"[")?
                .strip_prefix(self.host)?
                .strip_prefix(b"]")
        } else {
            origin.strip_prefix(self.host)
        }
    }

    fn is_port(&self, suffix: &[u8]) -> bool {
        match (self.scheme, self.port) {
            (b"http", 80) | (b"https", 443) => suffix.is_empty(),
            (_, port) => suffix == format!(":{port}").as_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{OriginPolicy, Site};

    const NO_ORIGINS: [&str; 0] = [];

    #[test]
    fn same_means_scheme_host_and_port() {
        let cases = [
            ("http", "example.com", 80, "http://example.com", true),
            ("http", "example.com", 80, "http://example.com:80", false),
            ("http", "example.com", 80, "https://example.com", false),
            ("http", "example.com", 80, "http://example.com/", false),
            ("http", "example.com", 80, "http://Example.com", false),
            ("http", "example.com", 80, "http://example.com.evil", false),
            ("http", "example.com", 80, "http://evil.com", false),
            ("http", "example.com", 80, "http:example.com", false),
            ("http", "example.com", 80, "null", false),
            ("http", "example.com", 80, "", false),
            ("http", "example.com", 8080, "http://example.com:8080", true),
            (
                "http",
                "example.com",
                8080,
                "http://example.com:08080",
                false,
            ),
            ("http", "example.com", 8080, "http://example.com:808", false),
            ("http", "example.com", 8080, "http://example.com", false),
            ("http", "example.com", 443, "http://example.com:443", true),
            ("https", "example.com", 443, "https://example.com", true),
            (
                "https",
                "example.com",
                443,
                "https://example.com:443",
                false,
            ),
            ("https", "example.com", 80, "https://example.com:80", true),
            ("http", "::1", 80, "http://[::1]", true),
            ("http", "[::1]", 80, "http://[::1]", true),
            ("http", "::1", 80, "http://::1", false),
            ("http", "::1", 8080, "http://[::1]:8080", true),
            ("http", "[::1]", 8080, "http://[::1]:8080", true),
        ];
        for (scheme, host, port, origin, expected) in cases {
            let site = Site {
                scheme: scheme.as_bytes(),
                host: host.as_bytes(),
                port,
            };
            let allowed = OriginPolicy::Same.allows(Some(origin.as_bytes()), &site, &NO_ORIGINS);
            assert_eq!(allowed, expected, "{origin} at {scheme} {host} {port}");
        }
    }

    #[test]
    fn trusted_means_on_the_list() {
        let site = Site {
            scheme: b"http",
            host: b"example.com",
            port: 80,
        };
        let trusted = ["https://a.example", "http://b.example:81"];
        let cases = [
            ("https://a.example", true),
            ("http://b.example:81", true),
            ("http://a.example", false),
            ("https://A.example", false),
            ("http://b.example", false),
            ("http://example.com", false),
        ];
        for (origin, expected) in cases {
            let allowed = OriginPolicy::Trusted.allows(Some(origin.as_bytes()), &site, &trusted);
            assert_eq!(allowed, expected, "{origin}");
        }
    }

    #[test]
    fn no_check_and_no_origin_allow_everyone() {
        let site = Site {
            scheme: b"http",
            host: b"example.com",
            port: 80,
        };
        assert!(OriginPolicy::Off.allows(Some(b"http://evil.example"), &site, &NO_ORIGINS));
        for policy in [OriginPolicy::Off, OriginPolicy::Same, OriginPolicy::Trusted] {
            assert!(policy.allows(None, &site, &NO_ORIGINS), "{policy:?}");
        }
    }
}
