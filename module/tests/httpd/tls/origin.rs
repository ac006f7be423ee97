//! Origins over TLS, with name-based virtual hosts, and on the default ports of the schemes.

use std::io::{ErrorKind, Read, Write};
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, ensure};
use xtask::httpd::Httpd;
use xtask::port;

use crate::support::{Client, Context, Handshake, cases};

cases! {
    "TLS: SNI selects the virtual host, and each has its own origin" => same,
    "TLS: Trusted accepts the origins that the virtual host lists, scheme and port included"
        => trusted,
    "on ports 80 and 443 an origin without a port is the site itself" => default_ports,
}

/// A server with two sites on one port. Each trusts the other's pages but not its own.
fn start_sites(context: &Context, port: u16) -> Result<Httpd> {
    let site = |letter: &str, trusted: &str| {
        let plugin = format!("twin_{letter}");
        let who = context.plugins().location("/who", &plugin, "");
        let trusted = format!("WebSocketOriginCheck Trusted\nWebSocketTrustedOrigin {trusted}");
        let trusting = context.plugins().location("/trusting", &plugin, &trusted);
        format!(
            "<VirtualHost *:{port}>\n\
             ServerName {letter}.example\n\
             SSLEngine on\n\
             SSLCertificateFile conf/localhost.crt\n\
             SSLCertificateKeyFile conf/localhost.key\n\
             {who}{trusting}\
             </VirtualHost>\n"
        )
    };
    context
        .root()?
        .tls_port(port)
        .config(site("a", "https://app.example https://app.example:8443"))
        .config(site("b", "https://a.example http://app.example"))
        .start()
}

/// Asks like a page of `origin`. Returns the status of the response, and the site that sent it.
fn ask<S: Read + Write>(
    mut client: Client<S>,
    [target, host, origin]: [&str; 3],
) -> Result<(u16, String)> {
    let handshake = Handshake::to(target)
        .header("Host", host)
        .header("Origin", origin);
    client.send(handshake.to_bytes())?;
    let status = client.response()?.status;
    if status != 101 {
        return Ok((status, String::new()));
    }
    client.text("who are you")?;
    let name = client.next_text()?;
    client.close()?;
    Ok((status, name))
}

fn same(context: &Context) -> Result<()> {
    let port = port::free_port()?;
    let httpd = start_sites(context, port)?;
    for (sni, host, origin, name) in [
        (
            "a.example",
            "a.example:PORT",
            "https://a.example:PORT",
            Some("a"),
        ),
        (
            "b.example",
            "b.example:PORT",
            "https://b.example:PORT",
            Some("b"),
        ),
        (
            "a.example",
            "a.example:PORT",
            "https://b.example:PORT",
            None,
        ),
        ("a.example", "a.example:PORT", "http://a.example:PORT", None),
        ("a.example", "a.example:PORT", "https://a.example", None),
        ("a.example", "a.example:PORT", "https://a.example:443", None),
        // A client that does not name the port asks for the default port of https.
        ("a.example", "a.example", "https://a.example", Some("a")),
        ("a.example", "a.example:443", "https://a.example", Some("a")),
        ("a.example", "a.example", "http://a.example", None),
        ("a.example", "a.example:443", "http://a.example", None),
        ("a.example", "a.example:80", "https://a.example", None),
        // Browsers do not send the default port, but it is the same origin.
        (
            "a.example",
            "a.example:443",
            "https://a.example:443",
            Some("a"),
        ),
        // The Host of the request decides which site it is.
        (
            "a.example",
            "b.example:PORT",
            "https://b.example:PORT",
            Some("b"),
        ),
        (
            "a.example",
            "b.example:PORT",
            "https://a.example:PORT",
            None,
        ),
    ] {
        let [host, origin] = [host, origin].map(|text| text.replace("PORT", &port.to_string()));
        let client = Client::connect_tls_as(&httpd, sni)?;
        let answer = ask(client, ["/who", &host, &origin])?;
        let expected = name.map_or((403, ""), |name| (101, name));
        let is_right = (answer.0, &*answer.1) == expected;
        ensure!(is_right, "{sni}, {host}, {origin}: {answer:?}");
    }
    Ok(())
}

fn trusted(context: &Context) -> Result<()> {
    let port = port::free_port()?;
    let httpd = start_sites(context, port)?;
    let itself = format!("https://a.example:{port}");
    for (host, origin, status) in [
        ("a.example", "https://app.example", 101),
        ("a.example", "https://app.example:8443", 101),
        ("a.example", "http://app.example", 403),
        ("a.example", "http://app.example:8443", 403),
        ("a.example", "https://app.example:443", 101),
        ("a.example", "https://app.example:8444", 403),
        ("a.example", "https://app.example.evil.example", 403),
        ("a.example", &itself, 403),
        ("a.example", "https://a.example", 403),
        ("b.example", "https://app.example", 403),
        ("b.example", "http://app.example", 101),
        ("b.example", "https://a.example", 101),
        ("b.example", &itself, 403),
    ] {
        for host in [host, &format!("{host}:{port}"), &format!("{host}:443")] {
            let client = Client::connect_tls_as(&httpd, &host[..9])?;
            let answer = ask(client, ["/trusting", host, origin])?;
            ensure!(answer.0 == status, "{host}, {origin}: {answer:?}");
        }
    }
    Ok(())
}

const HTTP: u16 = 80;
const HTTPS: u16 = 443;

/// The cases of all MPMs use the same ports.
static DEFAULT_PORTS: Mutex<()> = Mutex::new(());

fn default_ports(context: &Context) -> Result<()> {
    let _ours = DEFAULT_PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    let started = context
        .root()?
        .port(HTTP)
        .tls_port(HTTPS)
        .config(context.plugins().locations())
        .start();
    let httpd = match started {
        Ok(httpd) => httpd,
        Err(error) => {
            let Some(reason) = [HTTP, HTTPS].into_iter().find_map(unavailable) else {
                return Err(error);
            };
            eprintln!("{context}: skipped: ports 80 and 443 of the loopback interface: {reason}");
            return Ok(());
        }
    };
    for (host, origin, plain, tls) in [
        ("localhost", "http://localhost", 101, 403),
        ("localhost", "https://localhost", 403, 101),
        ("localhost:80", "http://localhost", 101, 403),
        ("localhost:443", "https://localhost", 403, 101),
        ("127.0.0.1", "http://127.0.0.1", 101, 403),
        ("127.0.0.1", "https://127.0.0.1", 403, 101),
        ("localhost", "http://localhost:80", 101, 403),
        ("localhost", "https://localhost:443", 403, 101),
        ("localhost", "http://localhost:8080", 403, 403),
        ("localhost", "https://127.0.0.1", 403, 403),
    ] {
        let request = ["/echo", host, origin];
        let answers = [
            ask(Client::connect(httpd.address())?, request)?.0,
            ask(Client::connect_tls(&httpd)?, request)?.0,
        ];
        ensure!(answers == [plain, tls], "{host}, {origin}: {answers:?}");
    }
    Ok(())
}

/// The reason why `port` is not available: it is in use, or reserved for root.
fn unavailable(port: u16) -> Option<std::io::Error> {
    let error = port::check(port).err()?;
    let expected = [ErrorKind::AddrInUse, ErrorKind::PermissionDenied];
    expected.contains(&error.kind()).then_some(error)
}
