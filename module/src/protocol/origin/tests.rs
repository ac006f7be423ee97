use super::{OriginPolicy, Site, form_to_use};

const NO_ORIGINS: [&str; 0] = [];

fn site<'a>(scheme: &'a str, host: &'a str, port: u16) -> Site<'a> {
    Site {
        scheme: scheme.as_bytes(),
        host: host.as_bytes(),
        port,
    }
}

fn same(site: &Site<'_>, origin: &str) -> bool {
    OriginPolicy::Same.allows(Some(origin.as_bytes()), site, &NO_ORIGINS)
}

#[test]
fn same_means_scheme_host_and_port() {
    let cases = [
        ("http", "example.com", 80, "http://example.com", true),
        ("http", "example.com", 80, "https://example.com", false),
        ("http", "example.com", 80, "http://example.com/", false),
        ("http", "example.com", 80, "http://example.com/x", false),
        ("http", "example.com", 80, "http://example.com.evil", false),
        ("http", "example.com", 80, "http://evil.com", false),
        ("http", "example.com", 80, "http://u@example.com", false),
        ("http", "example.com", 80, "http:example.com", false),
        ("http", "example.com", 80, "http:/example.com", false),
        ("http", "example.com", 80, "://example.com", false),
        ("http", "example.com", 80, "example.com", false),
        ("http", "example.com", 80, "null", false),
        ("http", "example.com", 80, "", false),
        ("http", "", 80, "http://", false),
        ("http", "example.com", 8080, "http://example.com:8080", true),
        ("http", "example.com", 8080, "http://example.com:808", false),
        ("http", "example.com", 8080, "http://example.com", false),
        ("http", "example.com", 443, "http://example.com:443", true),
        ("https", "example.com", 443, "https://example.com", true),
        ("https", "example.com", 80, "https://example.com:80", true),
        ("http", "::1", 80, "http://[::1]", true),
        ("http", "[::1]", 80, "http://[::1]", true),
        ("http", "[0:0:0:0:0:0:0:1]", 80, "http://[::1]", true),
        ("http", "[FE80::A]", 80, "http://[fe80::a]", true),
        ("http", "::1", 80, "http://::1", false),
        ("http", "::1", 80, "http://[::1", false),
        ("http", "::1", 80, "http://[::1]8080", false),
        ("http", "::1", 80, "http://[::2]", false),
        ("http", "::1", 8080, "http://[::1]:8080", true),
        ("http", "[::1]", 8080, "http://[::1]:8080", true),
        ("http", "localhost", 80, "http://[localhost]", false),
    ];
    for (scheme, host, port, origin, expected) in cases {
        let site = site(scheme, host, port);
        assert_eq!(same(&site, origin), expected, "{origin} at {site}");
    }
}

#[test]
fn case_does_not_matter() {
    for (scheme, host, origin) in [
        ("http", "example.com", "http://Example.com"),
        ("http", "example.com", "HTTP://EXAMPLE.COM"),
        ("http", "Example.Com", "http://example.com"),
        ("HTTP", "example.com", "http://example.com"),
    ] {
        assert!(same(&site(scheme, host, 80), origin), "{origin}");
    }
    // Only in ASCII: these are different hosts.
    assert!(!same(&site("http", "\u{e9}.com", 80), "http://\u{c9}.com"));
}

#[test]
fn a_port_that_is_the_default_may_be_left_out() {
    for (scheme, port, origin, expected) in [
        ("http", 80, "http://a.example:80", true),
        ("https", 443, "https://a.example:443", true),
        ("http", 80, "http://a.example:443", false),
        ("https", 443, "https://a.example:80", false),
        ("http", 80, "http://a.example:", false),
        ("http", 80, "http://a.example:080", false),
        ("http", 8080, "http://a.example:08080", false),
        ("http", 80, "http://a.example:65616", false),
        ("http", 80, "http://a.example:+80", false),
        ("http", 80, "http://a.example:80:80", false),
    ] {
        let site = site(scheme, "a.example", port);
        assert_eq!(same(&site, origin), expected, "{origin} at {site}");
    }
}

#[test]
fn a_dot_at_the_end_of_the_host_does_not_matter() {
    for (host, origin, expected) in [
        ("localhost", "http://localhost.:8080", true),
        ("localhost.", "http://localhost.:8080", true),
        ("localhost.", "http://localhost:8080", true),
        ("localhost", "http://localhost..:8080", false),
        ("localhost", "http://.localhost:8080", false),
        ("localhost", "http://.:8080", false),
    ] {
        let is_same = same(&site("http", host, 8080), origin);
        assert_eq!(is_same, expected, "{origin} at {host}");
    }
}

#[test]
fn trusted_means_on_the_list() {
    let trusted = [
        "https://a.example",
        "http://b.example:81",
        "https://C.Example:443",
        "null",
        "capacitor://localhost",
        "file://",
        "d.example",
        "http://[0::1]:8080",
    ];
    let cases = [
        ("https://a.example", true),
        ("https://A.example", true),
        ("https://a.example.", true),
        ("https://a.example:443", true),
        ("http://b.example:81", true),
        ("https://c.example", true),
        ("null", true),
        ("NULL", false),
        ("capacitor://localhost", true),
        ("Capacitor://LOCALHOST", true),
        ("capacitor://localhost:80", false),
        ("file://", true),
        ("file:///", false),
        ("d.example", true),
        ("https://d.example", false),
        ("http://[::1]:8080", true),
        ("http://a.example", false),
        ("http://b.example", false),
        ("http://example.com", false),
        ("https://a.example http://b.example:81", false),
        ("", false),
    ];
    for (origin, expected) in cases {
        let site = site("http", "example.com", 80);
        let allowed = OriginPolicy::Trusted.allows(Some(origin.as_bytes()), &site, &trusted);
        assert_eq!(allowed, expected, "{origin}");
    }
}

#[test]
fn no_check_and_no_origin_allow_everyone() {
    let site = site("http", "example.com", 80);
    assert!(OriginPolicy::Off.allows(Some(b"http://evil.example"), &site, &NO_ORIGINS));
    for policy in [OriginPolicy::Off, OriginPolicy::Same, OriginPolicy::Trusted] {
        assert!(policy.allows(None, &site, &NO_ORIGINS), "{policy:?}");
    }
}

#[test]
fn a_site_is_written_as_browsers_write_its_origin() {
    for (scheme, host, port, origin) in [
        ("http", "example.com", 80, "http://example.com"),
        ("http", "example.com.", 8080, "http://example.com:8080"),
        ("https", "example.com", 443, "https://example.com"),
        ("https", "example.com", 80, "https://example.com:80"),
        ("http", "::1", 80, "http://[::1]"),
        ("http", "[::1]", 81, "http://[::1]:81"),
    ] {
        let site = site(scheme, host, port);
        assert_eq!(site.to_string(), origin);
        assert!(same(&site, origin), "{origin}");
    }
}

#[test]
fn a_site_behind_a_proxy_that_ends_tls_is_recognised() {
    for (site, origin, expected) in [
        (site("http", "a.example", 80), "https://a.example", true),
        (site("http", "a.example", 8080), "https://A.example.", true),
        (
            site("http", "a.example", 80),
            "https://a.example:8443",
            true,
        ),
        (site("http", "::1", 80), "https://[::1]", true),
        (site("http", "a.example", 80), "https://b.example", false),
        (site("http", "a.example", 80), "http://a.example:81", false),
        (
            site("https", "a.example", 443),
            "https://a.example:1",
            false,
        ),
        (site("http", "a.example", 80), "null", false),
    ] {
        assert_eq!(site.is_tls_twin(origin.as_bytes()), expected, "{origin}");
    }
}

#[test]
fn an_origin_that_no_browser_sends_gets_advice() {
    let cases = [
        ("https://shop.example/", "use https://shop.example"),
        (
            "https://shop.example:8443/a?b#c",
            "use https://shop.example:8443",
        ),
        ("https://shop.example?b", "use https://shop.example"),
        ("shop.example", "use https://shop.example"),
        ("shop.example/chat", "use https://shop.example"),
        ("shop.example:8443", "use https://shop.example:8443"),
        ("ws://shop.example", "use http://shop.example"),
        ("WSS://shop.example", "use https://shop.example"),
        ("https://me@shop.example", "use https://shop.example"),
        ("*", "WebSocketOriginCheck Off"),
        ("https://*.shop.example", "list each origin"),
        ("https://a.example,https://b.example", "by spaces"),
        ("https://a.example https://b.example", "by spaces"),
        ("https://sh\u{f6}p.example", "xn--"),
        ("NULL", "null"),
        ("https://shop.example:0", "from 1 to 65535"),
        ("https://shop.example:65536", "from 1 to 65535"),
        ("https://shop.example:http", "from 1 to 65535"),
        ("https://shop.example:", "from 1 to 65535"),
        ("https://", "no host"),
        ("https://:443", "no host"),
        ("", "no host"),
        ("://a.example", "https://a.example"),
        ("http://::1", "in brackets"),
    ];
    for (origin, remedy) in cases {
        let text = form_to_use(origin).unwrap_or_else(|| panic!("{origin} is taken to be good"));
        assert!(text.contains(remedy), "{origin}: {text}");
    }
    for good in [
        "https://shop.example",
        "https://Shop.Example",
        "HTTPS://shop.example:443",
        "https://shop.example.",
        "http://[::1]:8080",
        "http://127.0.0.1:8080",
        "https://xn--bcher-kva.example",
        "null",
        "file://",
        "chrome-extension://abcdefghijklmnop",
        "moz-extension://8a1b2c3d-0000-4000-8000-000000000000",
        "capacitor://localhost",
    ] {
        assert_eq!(form_to_use(good), None, "{good}");
    }
}
