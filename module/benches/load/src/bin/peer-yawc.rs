//! yawc behind hyper, as in its example `echo_server`, on one thread; compresses if it is told to.

use anyhow::Result;
use clap::Parser;
use futures_util::{SinkExt, StreamExt, future::ready};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use websocket_load::deflate::Deflate;
use websocket_load::peer::listen;
use yawc::{
    CompressionLevel, DeflatePool, Frame, HttpWebSocket, OpCode, Options, UpgradeFut, WebSocket,
    WebSocketError,
};

#[derive(Parser)]
struct Arguments {
    /// Write the echoes of all messages that wait together, instead of each as soon as it is there
    #[arg(long)]
    forward: bool,
    /// Compress for clients that offer it
    #[arg(long, value_enum)]
    deflate: Option<Deflate>,
}

/// How much effort goes into compression: as much as our module's default.
const LEVEL: u32 = 3;
/// Compressors and inflaters that are kept without context takeover; one thread needs one of each.
const POOLED: usize = 1;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Arguments { forward, deflate } = Arguments::parse();
    let options = options(deflate);
    let listener = TcpListener::from_std(listen()?)?;
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        // A connection that fails is the generator's to report.
        tokio::spawn(serve(socket, options.clone(), forward));
    }
}

fn options(deflate: Option<Deflate>) -> Options {
    // The others check it too.
    let options = Options::default().with_utf8();
    let level = CompressionLevel::new(LEVEL);
    match deflate {
        None => options,
        Some(Deflate::ContextTakeover) => options.with_compression_level(level),
        Some(Deflate::NoContextTakeover) => options
            .with_compression_level(level)
            .server_no_context_takeover()
            .client_no_context_takeover()
            .with_deflate_pool(DeflatePool::new(POOLED)),
    }
}

async fn serve(socket: TcpStream, options: Options, forward: bool) -> hyper::Result<()> {
    let open = |request| open(request, options.clone(), forward);
    http1::Builder::new()
        .serve_connection(TokioIo::new(socket), service_fn(open))
        .with_upgrades()
        .await
}

async fn open(
    mut request: Request<Incoming>,
    options: Options,
    forward: bool,
) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let (response, socket) = WebSocket::upgrade_with_options(&mut request, options)?;
    tokio::spawn(echo(socket, forward));
    Ok(response)
}

async fn echo(socket: UpgradeFut, forward: bool) -> Result<(), WebSocketError> {
    let socket = socket.await?;
    if forward {
        forward_all(socket).await
    } else {
        send_each(socket).await
    }
}

async fn send_each(mut socket: HttpWebSocket) -> Result<(), WebSocketError> {
    while let Some(frame) = socket.next().await {
        if is_data(&frame) {
            socket.send(frame).await?;
        }
    }
    Ok(())
}

/// Flushes when no message waits.
async fn forward_all(socket: HttpWebSocket) -> Result<(), WebSocketError> {
    let (sink, stream) = socket.split();
    stream
        .filter(|frame| ready(is_data(frame)))
        .map(Ok)
        .forward(sink)
        .await
}

fn is_data(frame: &Frame) -> bool {
    matches!(frame.opcode(), OpCode::Text | OpCode::Binary)
}
