//! TLS handshakes inside a connection: renegotiation (TLS 1.2), and requests for a client
//! certificate after the first handshake (TLS 1.3).

use std::io::Read as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use xtask::apache::{Apache, Version};
use xtask::httpd::Httpd;

use crate::support::frame::masked;
use crate::support::journal::Journal;
use crate::support::openssl::Openssl;
use crate::support::server::ensure_healthy;
use crate::support::{Client, Context, Frame, Handshake, Opcode, PATIENCE, cases};

cases! {
    "TLS 1.2: a client that asks for renegotiation loses its connection, and no other client does"
        => by_client,
    "TLS: a location may ask for the client's certificate before the 101" => by_server,
    "TLS: a client without the certificate that a location asks for gets no WebSocket" => refused,
}

fn start(context: &Context, config: &str) -> Result<Httpd> {
    context
        .root()?
        .tls_port(xtask::port::free_port()?)
        .config(context.plugins().locations())
        .config(config)
        .start()
}

type Moment = (
    &'static str,
    &'static str,
    fn(&mut Client<Openssl>) -> Result<()>,
);

/// The moments at which the client asks: a name, the target of its WebSocket, and the client's
/// action before.
const MOMENTS: [Moment; 4] = [
    ("at rest", "/journal", |client| client.echo("hello")),
    ("in the middle of a message", "/journal", |client| {
        client.echo("hello")?;
        client.send(masked(Opcode::FIRST_TEXT, "half"))?;
        client.send(masked(Opcode::PING, "it has arrived"))?;
        client.expect(&Frame::pong("it has arrived"))
    }),
    ("while threads of the plugin send", "/mutex", |client| {
        client.text("hello")?;
        while client.next_text()? != "hello" {}
        Ok(())
    }),
    ("with most of a long answer to come", "/journal", |client| {
        client.binary(vec![0; 5_000_000])?;
        Ok(client.stream.read_exact(&mut [0; 1000])?)
    }),
];

/// From this version on, mod_ssl makes OpenSSL refuse a handshake within a connection, with a
/// warning. Earlier versions of mod_ssl end the connection.
pub(crate) const OPENSSL_REFUSES: Version = Version(2, 4, 60);

/// OpenSSL's client gives up when its handshake is refused.
fn by_client(context: &Context) -> Result<()> {
    let httpd = start(context, "")?;
    let mut other = Client::open_tls(&httpd, &Handshake::to("/echo"))?;
    for (name, target, prepare) in MOMENTS {
        let journal = Journal::new(context)?;
        let mut client = Client::connect_openssl(&httpd, &["-tls1_2"])?;
        client.upgrade(&journal.handshake(target))?;
        prepare(&mut client).context(name)?;
        client.renegotiate()?;
        client.drain().context(name)?;
        let outcome = journal.expect_one_disconnect(Duration::from_secs(4));
        outcome.context(name)?;
        other.echo("unaffected")?;
    }
    // The client may also give up because it gets a message instead of a handshake record.
    let refusal = if Apache::find()?.version < OPENSSL_REFUSES {
        "rejecting client initiated renegotiation"
    } else {
        "alert handshake failure"
    };
    httpd.wait_for_log(refusal, PATIENCE)?;
    other.close()?;
    Client::open_tls(&httpd, &Handshake::to("/echo"))?.close()?;
    ensure_healthy(&httpd.error_log()?)
}

/// A server that requires a certificate at `/private`. It trusts only its own.
fn start_private(context: &Context) -> Result<Httpd> {
    let private = context
        .plugins()
        .location("/private", "journal", "SSLVerifyClient require");
    let config = format!("SSLCACertificateFile conf/localhost.crt\n{private}");
    start(context, &config)
}

fn connect_with_certificate(httpd: &Httpd, options: &[&str]) -> Result<Client<Openssl>> {
    let root = httpd.root();
    let certificate = root.certificate().display().to_string();
    let key = root.certificate_key().display().to_string();
    let with = ["-cert", &certificate, "-key", &key];
    Client::connect_openssl(httpd, &[options, &with].concat())
}

fn by_server(context: &Context) -> Result<()> {
    let httpd = start_private(context)?;
    for options in [&["-tls1_2"][..], &["-tls1_3", "-enable_pha"]] {
        let journal = Journal::new(context)?;
        let mut client = connect_with_certificate(&httpd, options)?;
        client.upgrade(&journal.handshake("/private"))?;
        for length in [0, 100, 16_384, 1 << 20] {
            let payload = vec![0; length];
            client.binary(&payload)?;
            client.expect(&Frame::binary(&payload))?;
        }
        client.close()?;
        journal.expect_one_disconnect(Duration::from_secs(4))?;
    }
    ensure_healthy(&httpd.error_log()?)
}

fn refused(context: &Context) -> Result<()> {
    let httpd = start_private(context)?;
    let journal = Journal::new(context)?;
    let ask = |mut client: Client<Openssl>| {
        client.send(journal.handshake("/private").to_bytes())?;
        client.response()
    };
    // The server may ask only a client that has offered post-handshake authentication. rustls never
    // does.
    let unasked = connect_with_certificate(&httpd, &["-tls1_3"])?;
    ensure!(ask(unasked)?.status == 403);
    let mut rustls = Client::connect_tls(&httpd)?;
    rustls.send(journal.handshake("/private").to_bytes())?;
    ensure!(rustls.response()?.status == 403);
    // A failed handshake ends the connection.
    for options in [&["-tls1_2"][..], &["-tls1_3", "-enable_pha"]] {
        let answer = ask(Client::connect_openssl(&httpd, options)?);
        ensure!(answer.is_err(), "{options:?}: {answer:?}");
    }
    httpd.wait_for_log("peer did not return a certificate", PATIENCE)?;
    ensure!(journal.lines()?.is_empty(), "{:?}", journal.lines()?);
    Client::open_tls(&httpd, &Handshake::to("/echo"))?.close()?;
    ensure_healthy(&httpd.error_log()?)
}
