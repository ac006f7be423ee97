//! tokio-tungstenite, over TCP or over TLS by rustls, on one thread.

use std::future::ready;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Parser;
use futures_util::{SinkExt, StreamExt, TryStreamExt};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::{Message, Result as WebSocketResult};
use tokio_tungstenite::{WebSocketStream, accept_async};
use websocket_load::peer::{Certificate, listen};

#[derive(Parser)]
struct Options {
    /// Write the echoes of all messages that wait together, instead of each as soon as it is there
    #[arg(long)]
    forward: bool,
    #[command(flatten)]
    tls: Certificate,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Options { forward, tls } = Options::parse();
    let tls = acceptor(&tls)?;
    let listener = TcpListener::from_std(listen()?)?;
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        // A connection that fails is the generator's to report.
        tokio::spawn(serve(socket, tls.clone(), forward));
    }
}

async fn serve(socket: TcpStream, tls: Option<TlsAcceptor>, forward: bool) -> Result<()> {
    match tls {
        None => echo(socket, forward).await?,
        Some(tls) => echo(tls.accept(socket).await?, forward).await?,
    }
    Ok(())
}

async fn echo(socket: impl AsyncRead + AsyncWrite + Unpin, forward: bool) -> WebSocketResult<()> {
    let socket = accept_async(socket).await?;
    if forward {
        forward_all(socket).await
    } else {
        send_each(socket).await
    }
}

/// As a server does that has to think about each message.
async fn send_each<S>(mut socket: WebSocketStream<S>) -> WebSocketResult<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = socket.next().await {
        let message = message?;
        if is_data(&message) {
            socket.send(message).await?;
        }
    }
    Ok(())
}

/// As the library's example `echo-server` does; flushes when no message waits.
async fn forward_all<S>(socket: WebSocketStream<S>) -> WebSocketResult<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (sink, stream) = socket.split();
    stream
        .try_filter(|message| ready(is_data(message)))
        .forward(sink)
        .await
}

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
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
