//! Arbitrary requests: the opening handshake and the origin policy accept exactly what they should.
//! Different spellings of a list in a header mean the same.

#![no_main]

use allocation_counter::measure;
use libfuzzer_sys::fuzz_target;
use mod_websocket::protocol::{
    ClientHandshake, DeflateContext, DeflateParameters, HandshakeError, OriginPolicy, RequestHead,
    Site,
};
use tungstenite::handshake::derive_accept_key;
use websocket_fuzz::head::Head;

fuzz_target!(|input: &[u8]| {
    let (head, _) = Head::parse(input);
    let request = head.request();
    let mut parsed = Ok(None);
    let used = measure(|| parsed = ClientHandshake::parse(&request));
    // A list element takes two bytes and becomes a `&str`, in a vector that doubles its capacity.
    assert!(used.bytes_total <= 1024 + 64 * input.len() as u64);
    if let Ok(Some(handshake)) = &parsed {
        check(&request, handshake);
        check_deflate(handshake, input.len());
    }
    check_spacing(&request, parsed.as_ref());
    check_origin(
        &head,
        parsed.ok().flatten().and_then(|handshake| handshake.origin),
    );
});

fn check(request: &RequestHead<'_>, handshake: &ClientHandshake<'_>) {
    assert_eq!(request.method, b"GET");
    assert!(request.http_1_1 && request.host.is_some());
    let key = request.key.expect("a handshake has a key");
    assert_eq!(*handshake.accept(), derive_accept_key(key));

    let offered = str::from_utf8(request.subprotocols.unwrap_or_default());
    let offered = offered.expect("tokens are ASCII").split([',', ' ', '\t']);
    let offered: Vec<_> = offered.filter(|word| !word.is_empty()).collect();
    assert_eq!(handshake.subprotocols, offered);
}

/// The server's answer to an offer of compression is a valid offer itself, and is accepted
/// unchanged.
fn check_deflate(handshake: &ClientHandshake<'_>, input_len: usize) {
    for context in [DeflateContext::Shared, DeflateContext::Connection] {
        let mut accepted = None;
        let used = measure(|| accepted = handshake.deflate(context));
        // The parameter of an offer takes two bytes, and 48 in a vector that doubles its capacity.
        assert!(used.bytes_total <= 1024 + 128 * input_len as u64);
        if let Some(accepted) = accepted {
            let again = DeflateParameters::negotiate(accepted.to_string().as_bytes(), context);
            assert_eq!(again, Some(accepted));
        }
    }
}

/// Blanks around the elements of a list, and empty elements, have no meaning.
fn check_spacing(
    request: &RequestHead<'_>,
    parsed: Result<&Option<ClientHandshake<'_>>, &HandshakeError>,
) {
    let respaced = |list: Option<&[u8]>| {
        let elements = list?.split(|byte| *byte == b',');
        Some(elements.collect::<Vec<_>>().join(&b" ,\t,"[..]))
    };
    let (upgrade, connection) = (respaced(request.upgrade), respaced(request.connection));
    let subprotocols = respaced(request.subprotocols);
    let again = RequestHead {
        upgrade: upgrade.as_deref(),
        connection: connection.as_deref(),
        subprotocols: subprotocols.as_deref(),
        ..*request
    };
    match (parsed, ClientHandshake::parse(&again)) {
        (Ok(Some(handshake)), Ok(Some(again))) => {
            assert_eq!(handshake.subprotocols, again.subprotocols);
            assert_eq!(handshake.version, again.version);
        }
        (Ok(None), Ok(None)) => {}
        (Err(error), Err(again)) => assert_eq!(*error, again),
        (one, other) => panic!("{one:?}, respaced {other:?}"),
    }
}

/// The site is the value of `Host`, with `https` if there is a header `Https`. The trusted origins
/// are the words of a header `Trusted`.
fn check_origin(head: &Head, origin: Option<&[u8]>) {
    let host = head.header("Host").unwrap_or_default();
    let (scheme, default_port) = match head.header("Https") {
        None => ("http", 80),
        Some(_) => ("https", 443),
    };
    let colon = host.iter().rposition(|byte| *byte == b':');
    let port = colon.and_then(|at| str::from_utf8(&host[at + 1..]).ok()?.parse().ok());
    let (name, port) = match (colon, port) {
        (Some(at), Some(port)) => (&host[..at], port),
        _ => (host, default_port),
    };
    let site = Site {
        scheme: scheme.as_bytes(),
        host: name,
        port,
    };
    let trusted = head.header("Trusted").unwrap_or_default();
    let trusted: Vec<_> = trusted.split(u8::is_ascii_whitespace).collect();

    let name = if name.contains(&b':') && !name.starts_with(b"[") {
        [b"[", name, b"]"].concat()
    } else {
        name.to_vec()
    };
    let port = match port {
        port if port == default_port => String::new(),
        port => format!(":{port}"),
    };
    let own = [scheme.as_bytes(), b"://", &name, port.as_bytes()].concat();
    let allows = |policy: OriginPolicy| policy.allows(origin, &site, &trusted);
    assert!(allows(OriginPolicy::Off));
    let Some(origin) = origin else {
        assert!(allows(OriginPolicy::Same) && allows(OriginPolicy::Trusted));
        return;
    };
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    if origin == own && !name.is_empty() && name.iter().all(is_plain) {
        assert!(allows(OriginPolicy::Same));
    }
    if allows(OriginPolicy::Same) {
        assert!(may_be_same(origin, &own));
    }
    if trusted.contains(&origin) {
        assert!(allows(OriginPolicy::Trusted));
    }
    if allows(OriginPolicy::Trusted) {
        assert!(trusted.iter().any(|trusted| may_be_same(origin, trusted)));
    }
}

/// Whether two origins differ only in case, in a dot at the end of the host, in a default port, or
/// in the spelling of an IPv6 address.
fn may_be_same(one: &[u8], other: &[u8]) -> bool {
    let normal = |origin: &[u8]| {
        let mut origin = origin.to_ascii_lowercase();
        let default: &[u8] = match &*origin {
            [b'h', b't', b't', b'p', b's', ..] => b":443",
            _ => b":80",
        };
        if origin.starts_with(b"http") && origin.ends_with(default) {
            origin.truncate(origin.len() - default.len());
        }
        let port = origin.iter().rposition(|byte| *byte == b':');
        for end in [Some(origin.len()), port].into_iter().flatten() {
            if end > 0 && origin[end - 1] == b'.' {
                origin.remove(end - 1);
                break;
            }
        }
        match origin.iter().position(|byte| *byte == b'[') {
            Some(bracket) => origin[..bracket].to_vec(),
            None => origin,
        }
    };
    normal(one) == normal(other)
}
