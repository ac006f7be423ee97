//! A TLS client that trusts exactly one certificate.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, CipherSuite, ClientConfig, ClientConnection, ConfigBuilder,
    DigitallySignedStruct, Error, SignatureScheme, StreamOwned, SupportedProtocolVersion,
};
use xtask::httpd::Httpd;

use super::Client;
use super::handshake::Handshake;

pub(crate) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

impl Client<TlsStream> {
    /// Connects without sending any application data.
    pub(crate) fn connect_tls(httpd: &Httpd) -> Result<Self> {
        Self::connect_tls_with(httpd, rustls::DEFAULT_VERSIONS)
    }

    /// Like [`Client::connect_tls`], with one of these versions of TLS.
    pub(crate) fn connect_tls_with(
        httpd: &Httpd,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Self> {
        connect(httpd, "localhost", versions)
    }

    /// Like [`Client::connect_tls`], with this server name (SNI).
    pub(crate) fn connect_tls_as(httpd: &Httpd, name: &str) -> Result<Self> {
        connect(httpd, name, rustls::DEFAULT_VERSIONS)
    }

    /// Like [`Client::connect_tls`], to another server with this certificate.
    pub(crate) fn connect_tls_at(address: SocketAddr, certificate: &Path) -> Result<Self> {
        connect_to(address, certificate, "localhost", rustls::DEFAULT_VERSIONS)
    }

    /// Like [`Client::connect_with_buffer`].
    pub(crate) fn connect_tls_with_buffer(httpd: &Httpd, size: usize) -> Result<Self> {
        let address = httpd.tls_address().expect("the server serves TLS");
        let tcp = Client::connect_with_buffer(address, size)?.stream;
        let versions = rustls::DEFAULT_VERSIONS;
        over(tcp, &httpd.root().certificate(), "localhost", versions)
    }

    /// Like [`Client::connect_tls`]. Client and server have the same certificate.
    pub(crate) fn connect_tls_with_certificate(httpd: &Httpd) -> Result<Self> {
        let certificate = httpd.root().certificate();
        let chain = vec![CertificateDer::from_pem_file(&certificate)?];
        let key = PrivateKeyDer::from_pem_file(httpd.root().certificate_key())?;
        let config = builder(&certificate, rustls::DEFAULT_VERSIONS, |_| true)?
            .with_client_auth_cert(chain, key)?;
        let tls = ClientConnection::new(Arc::new(config), "localhost".try_into()?)?;
        let address = httpd.tls_address().expect("the server serves TLS");
        let tcp = Client::connect(address)?.stream;
        Ok(Self::over(StreamOwned::new(tls, tcp)))
    }

    /// Opens a WebSocket.
    pub(crate) fn open_tls(httpd: &Httpd, handshake: &Handshake) -> Result<Self> {
        let mut client = Self::connect_tls(httpd)?;
        client.upgrade(handshake)?;
        Ok(client)
    }
}

fn connect(
    httpd: &Httpd,
    name: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Client<TlsStream>> {
    let address = httpd.tls_address().expect("the server serves TLS");
    connect_to(address, &httpd.root().certificate(), name, versions)
}

fn connect_to(
    address: SocketAddr,
    certificate: &Path,
    name: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Client<TlsStream>> {
    over(
        Client::connect(address)?.stream,
        certificate,
        name,
        versions,
    )
}

fn over(
    tcp: TcpStream,
    certificate: &Path,
    name: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Client<TlsStream>> {
    let config = config(certificate, versions)?;
    let name = ServerName::try_from(name.to_owned())?;
    let tls = ClientConnection::new(Arc::new(config), name)?;
    Ok(Client::over(StreamOwned::new(tls, tcp)))
}

pub(super) fn config(
    certificate: &Path,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<ClientConfig> {
    config_with(certificate, versions, |_| true)
}

/// A configuration with only the cipher suites that are `wanted`.
pub(super) fn config_with(
    certificate: &Path,
    versions: &[&'static SupportedProtocolVersion],
    wanted: fn(CipherSuite) -> bool,
) -> Result<ClientConfig> {
    Ok(builder(certificate, versions, wanted)?.with_no_client_auth())
}

fn builder(
    certificate: &Path,
    versions: &[&'static SupportedProtocolVersion],
    wanted: fn(CipherSuite) -> bool,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>> {
    let mut provider = ring::default_provider();
    provider.cipher_suites.retain(|suite| wanted(suite.suite()));
    let provider = Arc::new(provider);
    let verifier = Pinned {
        certificate: CertificateDer::from_pem_file(certificate)?,
        provider: Arc::clone(&provider),
    };
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier)))
}

/// Accepts exactly one certificate.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *end_entity == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::UnknownIssuer.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
