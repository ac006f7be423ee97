use super::{ClientHandshake, DeflateContext, HandshakeError, RequestHead, Version};

/// The request of RFC 6455, section 1.3.
const REQUEST: RequestHead<'_> = RequestHead {
    method: b"GET",
    head_only: false,
    http_1_1: true,
    upgrade: Some(b"websocket"),
    connection: Some(b"Upgrade"),
    host: Some(b"server.example.com"),
    key: Some(b"dGhlIHNhbXBsZSBub25jZQ=="),
    version: Some(b"13"),
    subprotocols: Some(b"chat, superchat"),
    extensions: None,
    origin: Some(b"http://example.com"),
    sec_websocket_origin: None,
    content_length: None,
    has_transfer_encoding: false,
};

#[test]
fn the_request_of_the_rfc_is_accepted() {
    let handshake = ClientHandshake::parse(&REQUEST).unwrap().unwrap();
    assert_eq!(handshake.version, Version::V13);
    assert_eq!(handshake.subprotocols, ["chat", "superchat"]);
    assert_eq!(handshake.origin, Some(b"http://example.com".as_slice()));
    assert_eq!(&*handshake.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn requests_without_an_upgrade_to_websocket_are_declined() {
    let cases = [
        (
            "HTTP/1.0",
            RequestHead {
                http_1_1: false,
                ..REQUEST
            },
        ),
        (
            "no Upgrade",
            RequestHead {
                upgrade: None,
                ..REQUEST
            },
        ),
        (
            "other Upgrade",
            RequestHead {
                upgrade: Some(b"h2c"),
                ..REQUEST
            },
        ),
        (
            "part of a token",
            RequestHead {
                upgrade: Some(b"websockets"),
                ..REQUEST
            },
        ),
        (
            "no Connection",
            RequestHead {
                connection: None,
                ..REQUEST
            },
        ),
        (
            "other Connection",
            RequestHead {
                connection: Some(b"keep-alive"),
                ..REQUEST
            },
        ),
        (
            "empty Connection",
            RequestHead {
                connection: Some(b""),
                ..REQUEST
            },
        ),
        (
            "also wrong",
            RequestHead {
                upgrade: None,
                method: b"POST",
                key: None,
                ..REQUEST
            },
        ),
    ];
    for (name, head) in cases {
        assert!(ClientHandshake::parse(&head).unwrap().is_none(), "{name}");
    }
}

#[test]
fn upgrade_and_connection_are_lists_in_any_case() {
    let cases: [(&[u8], &[u8]); 4] = [
        (b"WebSocket", b"UPGRADE"),
        (b"h2c, websocket", b"keep-alive, Upgrade"),
        (b"websocket,h2c", b"Upgrade,keep-alive"),
        (b" ,\twebsocket ,", b",keep-alive\t,  upgrade "),
    ];
    for (upgrade, connection) in cases {
        let head = RequestHead {
            upgrade: Some(upgrade),
            connection: Some(connection),
            ..REQUEST
        };
        assert!(
            ClientHandshake::parse(&head).unwrap().is_some(),
            "{}",
            upgrade.escape_ascii()
        );
    }
}

#[test]
fn the_error_names_what_makes_a_request_bad() {
    let cases = [
        (
            "POST",
            RequestHead {
                method: b"POST",
                ..REQUEST
            },
            HandshakeError::Method,
        ),
        (
            "lower case",
            RequestHead {
                method: b"get",
                ..REQUEST
            },
            HandshakeError::Method,
        ),
        (
            "HEAD",
            RequestHead {
                head_only: true,
                ..REQUEST
            },
            HandshakeError::Method,
        ),
        (
            "no Host",
            RequestHead {
                host: None,
                ..REQUEST
            },
            HandshakeError::NoHost,
        ),
        (
            "no key",
            RequestHead {
                key: None,
                ..REQUEST
            },
            HandshakeError::Key,
        ),
        (
            "no version",
            RequestHead {
                version: None,
                ..REQUEST
            },
            HandshakeError::Version,
        ),
        (
            "neither version nor key",
            RequestHead {
                version: None,
                key: None,
                ..REQUEST
            },
            HandshakeError::Version,
        ),
    ];
    for (name, head, error) in cases {
        assert_eq!(ClientHandshake::parse(&head).unwrap_err(), error, "{name}");
    }
}

#[test]
fn a_request_with_a_body_is_an_error() {
    for (length, is_good) in [
        ("0", true),
        ("00", true),
        (" 0 ", true),
        ("1", false),
        ("14", false),
        ("01", false),
        ("", false),
        ("+0", false),
        ("-0", false),
        ("0, 0", false),
        ("0x0", false),
        ("zero", false),
    ] {
        let head = RequestHead {
            content_length: Some(length.as_bytes()),
            ..REQUEST
        };
        let error = ClientHandshake::parse(&head).err();
        let expected = (!is_good).then_some(HandshakeError::Body);
        assert_eq!(error, expected, "{length}");
        let chunked = RequestHead {
            has_transfer_encoding: true,
            ..head
        };
        let error = ClientHandshake::parse(&chunked).err();
        assert_eq!(error, Some(HandshakeError::Body), "{length} and chunked");
    }
}

#[test]
fn keys_are_the_canonical_base64_of_16_bytes() {
    let good: [&[u8]; 4] = [
        b"AAAAAAAAAAAAAAAAAAAAAA==",
        b"AAAAAAAAAAAAAAAAAAAAAQ==",
        b"+/+/+/+/+/+/+/+/+/+/+g==",
        b"/////////////////////w==",
    ];
    for key in good {
        let head = RequestHead {
            key: Some(key),
            ..REQUEST
        };
        assert!(
            ClientHandshake::parse(&head).is_ok(),
            "{}",
            key.escape_ascii()
        );
    }
}

#[test]
fn other_keys_are_an_error() {
    let bad: [&[u8]; 13] = [
        b"",
        b"==",
        b"dGhlIHNhbXBsZSBub25jZQ",
        b"dGhlIHNhbXBsZSBub25jZQ=",
        b"dGhlIHNhbXBsZSBub25jZR==",
        b"dGhlIHNhbXBsZSBub25jZQ==\n",
        b" dGhlIHNhbXBsZSBub25jZQ==",
        b"dGhlIHNhbXBsZSBub25jZQ== ",
        b"dGhlIHNhbXBsZSBub25jZTE=",
        b"dGhlIHNhbXBsZSBub25jZTEx",
        b"dGhlIHNhbXBsZSBub25j====",
        b"dGhlIHNhbXBsZS_ub25jZQ==",
        b"dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
    ];
    for key in bad {
        let head = RequestHead {
            key: Some(key),
            ..REQUEST
        };
        let error = ClientHandshake::parse(&head).unwrap_err();
        assert_eq!(error, HandshakeError::Key, "{}", key.escape_ascii());
    }
}

#[test]
fn three_versions_are_supported_each_in_one_spelling() {
    for number in 0..=300 {
        for spelling in [
            format!("{number}"),
            format!("0{number}"),
            format!("{number} "),
        ] {
            let head = RequestHead {
                version: Some(spelling.as_bytes()),
                ..REQUEST
            };
            let version = ClientHandshake::parse(&head).map(|handshake| handshake.unwrap().version);
            let expected = match spelling.as_str() {
                "7" => Ok(Version::V7),
                "8" => Ok(Version::V8),
                "13" => Ok(Version::V13),
                _ => Err(HandshakeError::Version),
            };
            assert_eq!(version, expected, "{spelling:?}");
        }
    }
    for malformed in [
        "",
        "-13",
        "+13",
        "13, 8",
        "13.0",
        "0x0d",
        "269",
        "\u{661}\u{663}",
    ] {
        let head = RequestHead {
            version: Some(malformed.as_bytes()),
            ..REQUEST
        };
        let error = ClientHandshake::parse(&head).unwrap_err();
        assert_eq!(error, HandshakeError::Version, "{malformed:?}");
    }
    assert!(
        HandshakeError::Version
            .to_string()
            .contains(super::SUPPORTED_VERSIONS)
    );
}

#[test]
fn the_origin_is_in_the_header_of_the_version() {
    let cases: [(&[u8], &[u8]); 3] = [(b"7", b"old"), (b"8", b"new"), (b"13", b"new")];
    for (version, origin) in cases {
        let head = RequestHead {
            version: Some(version),
            origin: Some(b"new"),
            sec_websocket_origin: Some(b"old"),
            ..REQUEST
        };
        let handshake = ClientHandshake::parse(&head).unwrap().unwrap();
        assert_eq!(handshake.origin, Some(origin), "{:?}", handshake.version);
    }
    let handshake = ClientHandshake::parse(&RequestHead {
        origin: None,
        ..REQUEST
    });
    assert_eq!(handshake.unwrap().unwrap().origin, None);
}

#[test]
fn subprotocols_are_a_list_of_tokens() {
    let good: [(Option<&str>, &[&str]); 6] = [
        (None, &[]),
        (Some("chat"), &["chat"]),
        (Some("b,a ,\tb"), &["b", "a", "b"]),
        (Some(", chat,,  ,superchat ,"), &["chat", "superchat"]),
        (Some("!#$%&'*+-.^_`|~09azAZ"), &["!#$%&'*+-.^_`|~09azAZ"]),
        (Some("v1.chat"), &["v1.chat"]),
    ];
    for (value, expected) in good {
        let head = RequestHead {
            subprotocols: value.map(str::as_bytes),
            ..REQUEST
        };
        let handshake = ClientHandshake::parse(&head).unwrap().unwrap();
        assert_eq!(handshake.subprotocols, expected, "{value:?}");
    }
    let blank_or_separator = b" \t\x00\x1f\x7f\"(),/:;<=>?@[\\]{}\x80\xff";
    let inside = blank_or_separator.iter().filter(|&&byte| byte != b',');
    let mut bad: Vec<Vec<u8>> = inside.map(|&byte| vec![b'a', byte, b'b']).collect();
    bad.extend(["", " ", ",", " ,\t, ", "chat, super chat", "chät"].map(Into::into));
    for value in bad {
        let head = RequestHead {
            subprotocols: Some(&value),
            ..REQUEST
        };
        let error = ClientHandshake::parse(&head).unwrap_err();
        assert_eq!(
            error,
            HandshakeError::Subprotocols,
            "{}",
            value.escape_ascii()
        );
    }
}

#[test]
fn compression_requires_version_13() {
    for (version, is_compressed) in [("7", false), ("8", false), ("13", true)] {
        let head = RequestHead {
            version: Some(version.as_bytes()),
            extensions: Some(b"permessage-deflate"),
            ..REQUEST
        };
        let handshake = ClientHandshake::parse(&head).unwrap().unwrap();
        let deflate = handshake.deflate(DeflateContext::Connection);
        assert_eq!(deflate.is_some(), is_compressed, "version {version}");
    }
    let handshake = ClientHandshake::parse(&REQUEST).unwrap().unwrap();
    assert_eq!(handshake.deflate(DeflateContext::Connection), None);
}

#[test]
fn bad_extensions_do_not_make_a_bad_request() {
    for extensions in ["", ",", "\"", "a b", "permessage-deflate; =", "k\u{f6}"] {
        let head = RequestHead {
            extensions: Some(extensions.as_bytes()),
            ..REQUEST
        };
        let handshake = ClientHandshake::parse(&head).unwrap().unwrap();
        assert_eq!(
            handshake.deflate(DeflateContext::Shared),
            None,
            "{extensions}"
        );
    }
}
