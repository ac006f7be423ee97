//! Opening connections, one after the other (RFC 6455, section 4.1).

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};

use crate::deflate::Deflate;
use crate::transport::{Tls, Transport};

/// The key of RFC 6455, section 1.3, and the answer to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A server answers within this time or is taken for stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections from one address to one port: a source port each, of which there are 28,000.
const PER_SOURCE_ADDRESS: usize = 20_000;

/// Opens WebSockets to one server.
#[derive(Clone, Debug)]
pub struct Opener {
    address: SocketAddr,
    path: String,
    tls: Option<Arc<ClientConfig>>,
    deflate: Option<Deflate>,
    opened: usize,
}

impl Opener {
    /// For `address`, a port on the loopback interface; over TLS if `tls`, whatever the
    /// certificate.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(address: SocketAddr, path: &str, tls: bool) -> Result<Self> {
        Ok(Self {
            address,
            path: path.to_owned(),
            tls: tls.then(tls_config).transpose()?,
            deflate: None,
            opened: 0,
        })
    }

    /// Offers compression from now on. The server has to agree, and to just this.
    pub fn offer(&mut self, deflate: Deflate) {
        self.deflate = Some(deflate);
    }

    /// Opens the next connection and waits for the 101.
    ///
    /// # Errors
    /// The server cannot be reached, refuses, or does not answer within 10 seconds.
    pub fn open(&mut self) -> Result<Transport> {
        let mut transport = self.connect()?;
        let mut stream = transport.blocking();
        self.ask(&mut stream, &self.path)?;
        let (head, rest) = take_answer(&mut stream)?;
        ensure!(rest.is_empty(), "the server speaks first: {rest:?}");
        if let Some(deflate) = self.deflate {
            deflate.check_answer(&head)?;
        }
        drop(stream);
        transport.set_nonblocking()?;
        Ok(transport)
    }

    /// Connects, without a word of HTTP. Calls on the connection wait for the server, for 10
    /// seconds at most.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub fn connect(&mut self) -> Result<Transport> {
        let socket = self.connect_socket().context("cannot connect")?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        self.opened += 1;
        let Some(config) = &self.tls else {
            return Ok(Transport::Plain(socket));
        };
        let name = ServerName::try_from("localhost")?;
        let session = ClientConnection::new(Arc::clone(config), name)?;
        Ok(Transport::Tls(Box::new(Tls { session, socket })))
    }

    /// The path of the server's WebSockets.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Asks for a WebSocket.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn ask(&self, stream: &mut impl Write, path: &str) -> Result<()> {
        let mut request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"
        );
        if self.deflate.is_some() {
            request += &format!("Sec-WebSocket-Extensions: {}\r\n", Deflate::OFFER);
        }
        request += "\r\n";
        stream.write_all(request.as_bytes())?;
        Ok(stream.flush()?)
    }

    /// Connects from 127.0.0.1, 127.0.0.2 and so on, as far as source ports reach.
    fn connect_socket(&self) -> Result<TcpStream> {
        let host = u8::try_from(1 + self.opened / PER_SOURCE_ADDRESS)?;
        let source = SocketAddr::from((IpAddr::from(Ipv4Addr::new(127, 0, 0, host)), 0));
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        if host > 1 {
            bind(&socket, &source)?;
        }
        connect(&socket, &self.address)?;
        Ok(socket.into())
    }
}

/// Waits for the 101; gives it, and what came right behind it.
///
/// # Errors
/// The server refuses, or does not answer within 10 seconds.
pub fn take_answer(stream: &mut impl Read) -> Result<(String, Vec<u8>)> {
    let (head, rest) = read_head(stream).context("no answer to the opening handshake")?;
    ensure!(head.starts_with("HTTP/1.1 101 "), "refused: {head}");
    ensure!(head.contains(ACCEPT), "wrong Sec-WebSocket-Accept: {head}");
    Ok((head, rest))
}

/// Waits for a 403 with this page.
///
/// # Errors
/// The server does anything else, or does not answer within 10 seconds.
pub fn take_refusal(stream: &mut impl Read, page: &str) -> Result<()> {
    let (head, mut body) = read_head(stream).context("no answer to the opening handshake")?;
    ensure!(head.starts_with("HTTP/1.1 403 "), "not refused: {head}");
    let missing = page.len().saturating_sub(body.len());
    let received = body.len();
    body.resize(received + missing, 0);
    stream.read_exact(&mut body[received..])?;
    ensure!(
        body == page.as_bytes(),
        "another page: {}",
        String::from_utf8_lossy(&body)
    );
    Ok(())
}

/// Reads up to the empty line, and what comes with it.
fn read_head(stream: &mut impl Read) -> Result<(String, Vec<u8>)> {
    const END: &[u8] = b"\r\n\r\n";
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        if let Some(at) = head.windows(END.len()).position(|window| window == END) {
            let rest = head.split_off(at + END.len());
            return Ok((String::from_utf8(head)?, rest));
        }
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            bail!("closed after `{}`", String::from_utf8_lossy(&head));
        }
        head.extend_from_slice(&buffer[..n]);
    }
}

/// One cipher for all servers, or they would not be comparable.
fn tls_config() -> Result<Arc<ClientConfig>> {
    let mut provider = ring::default_provider();
    provider
        .cipher_suites
        .retain(|suite| suite.suite() == rustls::CipherSuite::TLS13_AES_256_GCM_SHA384);
    let provider = Arc::new(provider);
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Trusts every server: they are all ours, with certificates made for the occasion.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
