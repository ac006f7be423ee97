//! tokio-tungstenite, over TCP or over TLS by rustls, on one thread.

use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Parser;
use futures_util::{SinkExt, StreamExt};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Result as WebSocketResult;
use websocket_load::peer::{Certificate, listen};

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    tls: Certificate,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let tls = acceptor(&Options::parse().tls)?;
    let listener = TcpListener::from_std(listen()?)?;
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        // A connection that fails is the generator's to report.
        tokio::spawn(serve(socket, tls.clone()));
    }
}

async fn serve(socket: TcpStream, tls: Option<TlsAcceptor>) -> Result<()> {
    match tls {
        None => echo(socket).await?,
        Some(tls) => echo(tls.accept(socket).await?).await?,
    }
    Ok(())
}

async fn echo(socket: impl AsyncRead + AsyncWrite + Unpin) -> WebSocketResult<()> {
    let mut socket = accept_async(socket).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

fn acceptor(files: &Certificate) -> Result<Option<TlsAcceptor>> {
    let (Some(certificate), Some(key)) = (&files.certificate, &files.key) else {
        return Ok(None);
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .with_context(|| format!("no certificate in {}", certificate.display()))?;
    let key = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("no key in {}", key.display()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}
