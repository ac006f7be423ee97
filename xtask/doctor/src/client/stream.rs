//! A connection to a server, with or without TLS.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::Attempt;
use super::socket::Socket;

/// Why there is no response.
#[derive(Debug)]
pub enum Failure {
    /// No address belongs to the name.
    Name(String),
    /// Nothing listens at the address.
    Refused(SocketAddr),
    /// The server does not answer in time.
    Timeout,
    /// The connection ended too early.
    Ended,
    /// The server's certificate is not valid for this name, or nobody known has signed it.
    Certificate(String),
    /// The server ends the handshake of TLS.
    Alert(String),
    /// The server does not speak TLS, or none that this client knows.
    NoTls(String),
    /// What came is no response of HTTP.
    NoHttp(String),
    /// Something else.
    Other(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if let Some(tls) = error
            .get_ref()
            .and_then(|it| it.downcast_ref::<rustls::Error>())
        {
            return match tls {
                rustls::Error::InvalidCertificate(_) => Self::Certificate(tls.to_string()),
                rustls::Error::AlertReceived(alert) => Self::Alert(format!("{alert:?}")),
                _ => Self::NoTls(tls.to_string()),
            };
        }
        match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Self::Timeout,
            ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe => Self::Ended,
            _ => Self::Other(error.to_string()),
        }
    }
}

/// The bytes of the connection.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(Socket),
    Tls(Box<StreamOwned<ClientConnection, Socket>>),
}

impl Stream {
    pub(super) fn connect(attempt: &Attempt<'_>) -> Result<Self, Failure> {
        let url = attempt.url;
        let socket = Socket::new(connect(attempt)?, attempt.limit);
        if !url.is_secure {
            return Ok(Self::Plain(socket));
        }
        let name = ServerName::try_from(url.host.clone())
            .map_err(|error| Failure::Name(error.to_string()))?;
        let config = config(attempt.authorities)?;
        let tls = ClientConnection::new(Arc::new(config), name)
            .map_err(|error| Failure::Other(error.to_string()))?;
        let mut stream = StreamOwned::new(tls, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self::Tls(Box::new(stream)))
    }

    /// Begins a step that may take this long, all its reads and writes together.
    pub(super) fn allow(&mut self, limit: Duration) {
        match self {
            Self::Plain(socket) => socket.allow(limit),
            Self::Tls(stream) => stream.sock.allow(limit),
        }
    }
}

/// Tries all addresses of the host.
fn connect(attempt: &Attempt<'_>) -> Result<TcpStream, Failure> {
    let url = attempt.url;
    let addresses = (&*url.host, url.port)
        .to_socket_addrs()
        .map_err(|error| Failure::Name(error.to_string()))?;
    let mut failure = Failure::Name("the name has no address".to_owned());
    for address in addresses {
        match TcpStream::connect_timeout(&address, attempt.limit) {
            Ok(socket) => return Ok(socket),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                failure = Failure::Refused(address);
            }
            Err(error) => failure = error.into(),
        }
    }
    Err(failure)
}

/// Trusts what the system trusts, and what the file has.
fn config(authorities: Option<&Path>) -> Result<ClientConfig, Failure> {
    let mut trusted = RootCertStore::empty();
    trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = authorities {
        let name = |error| Failure::Other(format!("{}: {error}", file.display()));
        let certificates = CertificateDer::pem_file_iter(file).map_err(name)?;
        for certificate in certificates {
            let certificate = certificate.map_err(name)?;
            trusted
                .add(certificate)
                .map_err(|error| Failure::Other(error.to_string()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::Other(error.to_string()))?;
    let mut config = builder
        .with_root_certificates(trusted)
        .with_no_client_auth();
    // As browsers do for WebSockets.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
