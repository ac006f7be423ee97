//! An HTTP/2 client with extended CONNECT (RFC 8441).

use std::io::{Error, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{Method, Request, StatusCode};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use xtask::httpd::Httpd;

use super::{Client, Handshake, PATIENCE, tls};

/// Large, as browsers have it: a stream that is not read then does not block the others.
const CONNECTION_WINDOW: u32 = 16 << 20;

/// A connection, whose streams may be WebSockets.
pub(crate) struct Http2 {
    runtime: Arc<Runtime>,
    /// Scheme, host and port.
    origin: String,
    sender: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

/// The bytes of a stream, as if it were a socket.
pub(crate) struct Http2Stream {
    runtime: Arc<Runtime>,
    sender: SendStream<Bytes>,
    receiver: RecvStream,
    write_limit: Duration,
    /// Bytes that have been received but not read yet.
    chunk: Bytes,
}

/// The response to an extended CONNECT.
pub(crate) struct Answer {
    pub(crate) response: http::response::Parts,
    pub(crate) client: Client<Http2Stream>,
}

impl Http2 {
    /// Connects over cleartext, with prior knowledge.
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let runtime = runtime()?;
        let stream = runtime.block_on(TcpStream::connect(address))?;
        stream.set_nodelay(true)?;
        Self::over(
            runtime,
            format!("http://localhost:{}", address.port()),
            stream,
        )
    }

    /// Connects over TLS. ALPN must select HTTP/2.
    pub(crate) fn connect_tls(httpd: &Httpd) -> Result<Self> {
        let address = httpd.tls_address().expect("the server serves TLS");
        let mut config = tls::config(&httpd.root().certificate(), rustls::ALL_VERSIONS)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from("localhost")?;
        let runtime = runtime()?;
        let stream = runtime.block_on(async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            TlsConnector::from(Arc::new(config))
                .connect(name, stream)
                .await
        })?;
        ensure!(stream.get_ref().1.alpn_protocol() == Some(&b"h2"[..]));
        Self::over(
            runtime,
            format!("https://localhost:{}", address.port()),
            stream,
        )
    }

    fn over<S>(runtime: Arc<Runtime>, origin: String, stream: S) -> Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = runtime.block_on(
            h2::client::Builder::new()
                .initial_connection_window_size(CONNECTION_WINDOW)
                .handshake(stream),
        )?;
        let connection = runtime.spawn(connection);
        let http2 = Self {
            runtime,
            origin,
            sender,
            connection,
        };
        // The response comes after the settings that allow extended CONNECT.
        http2.get("/")?;
        Ok(http2)
    }

    /// The status of the response to an ordinary request.
    pub(crate) fn get(&self, target: &str) -> Result<StatusCode> {
        Ok(self.head_of(target)?.status)
    }

    /// The head of the response to an ordinary request.
    pub(crate) fn head_of(&self, target: &str) -> Result<http::response::Parts> {
        let uri = format!("{}{target}", self.origin);
        let request = Request::get(uri).body(())?;
        self.wait(async {
            let mut sender = self.sender.clone().ready().await?;
            let (response, _) = sender.send_request(request, true)?;
            Ok(response.await?.into_parts().0)
        })
    }

    /// Posts a body. Returns the status and the body of the response.
    pub(crate) fn post(
        &self,
        target: &str,
        media_type: &str,
        body: &'static [u8],
    ) -> Result<(StatusCode, String)> {
        let request = Request::post(format!("{}{target}", self.origin))
            .header("Content-Type", media_type)
            .body(())?;
        self.wait(async {
            let mut requester = self.sender.clone().ready().await?;
            let (response, mut sender) = requester.send_request(request, false)?;
            sender.send_data(Bytes::from_static(body), true)?;
            let (head, mut receiver) = response.await?.into_parts();
            let mut text = Vec::new();
            while let Some(chunk) = receiver.data().await {
                text.extend_from_slice(&chunk?);
            }
            Ok((head.status, String::from_utf8(text)?))
        })
    }

    /// Requests a page and resets the stream before any of it arrives.
    pub(crate) fn get_and_reset(&self, target: &str) -> Result<()> {
        let uri = format!("{}{target}", self.origin);
        let request = Request::get(uri).body(())?;
        self.wait(async {
            let mut sender = self.sender.clone().ready().await?;
            let (_, mut stream) = sender.send_request(request, true)?;
            stream.send_reset(Reason::CANCEL);
            Ok(())
        })
    }

    /// The origin of the server's own pages.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether the server offers WebSockets.
    pub(crate) fn offers_websockets(&self) -> bool {
        self.sender.is_extended_connect_protocol_enabled()
    }

    /// Asks for a WebSocket and returns the response, whichever it is.
    pub(crate) fn ask(&self, handshake: &Handshake) -> Result<Answer> {
        self.send(handshake, false)
    }

    /// Asks for a WebSocket, and ends the stream with the request.
    pub(crate) fn ask_and_end(&self, handshake: &Handshake) -> Result<Answer> {
        self.send(handshake, true)
    }

    fn send(&self, handshake: &Handshake, ends: bool) -> Result<Answer> {
        let mut request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("{}{}", self.origin, handshake.target()))
            .extension(Protocol::from_static("websocket"));
        let of_http_1 = ["Host", "Upgrade", "Connection", "Sec-WebSocket-Key"];
        for (name, value) in handshake.headers() {
            if !of_http_1.contains(&name.as_str()) {
                request = request.header(name, value);
            }
        }
        let request = request.body(())?;
        let (response, sender) = self.wait(async {
            let mut requester = self.sender.clone().ready().await?;
            let (response, sender) = requester.send_request(request, ends)?;
            Ok((response.await?, sender))
        })?;
        let (response, receiver) = response.into_parts();
        let stream = Http2Stream {
            runtime: Arc::clone(&self.runtime),
            sender,
            receiver,
            write_limit: PATIENCE,
            chunk: Bytes::new(),
        };
        Ok(Answer {
            response,
            client: Client::over(stream),
        })
    }

    /// Opens a WebSocket.
    pub(crate) fn open(&self, handshake: &Handshake) -> Result<Client<Http2Stream>> {
        let answer = self.ask(handshake)?;
        let status = answer.response.status;
        ensure!(status == StatusCode::OK, "not opened: {status}");
        Ok(answer.client)
    }

    /// Ends the connection without closing it in order.
    pub(crate) fn abandon(self) {
        self.connection.abort();
    }

    /// Waits until the server has ended the connection.
    pub(crate) fn expect_end(self) -> Result<()> {
        drop(self.sender);
        let ended = self
            .runtime
            .block_on(async { timeout(PATIENCE, self.connection).await });
        // In order, or with an error.
        drop(ended.context("the server keeps the connection")?);
        Ok(())
    }

    fn wait<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime
            .block_on(async { timeout(PATIENCE, future).await })?
    }
}

impl Http2Stream {
    /// Sets the longest time that a write may wait for the server to take more.
    pub(crate) fn set_write_limit(&mut self, limit: Duration) {
        self.write_limit = limit;
    }

    /// Resets the stream.
    pub(crate) fn reset(mut self) {
        self.sender.send_reset(Reason::CANCEL);
    }

    /// Ends the sending side, but still reads.
    pub(crate) fn half_close(&mut self) -> Result<()> {
        Ok(self.sender.send_data(Bytes::new(), true)?)
    }

    fn wait<T>(
        runtime: &Runtime,
        limit: Duration,
        future: impl Future<Output = Option<Result<T, h2::Error>>>,
    ) -> std::io::Result<Option<T>> {
        runtime
            .block_on(async { timeout(limit, future).await })
            .map_err(|_| Error::from(ErrorKind::TimedOut))?
            .transpose()
            .map_err(|error| Error::new(ErrorKind::ConnectionReset, error))
    }
}

impl Read for Http2Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.chunk.is_empty() {
            let received = Self::wait(&self.runtime, PATIENCE, self.receiver.data())?;
            let Some(chunk) = received else { return Ok(0) };
            self.chunk = chunk;
        }
        let length = buffer.len().min(self.chunk.len());
        buffer[..length].copy_from_slice(&self.chunk.split_to(length));
        self.receiver
            .flow_control()
            .release_capacity(length)
            .map_err(Error::other)?;
        Ok(length)
    }
}

impl Write for Http2Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let Self {
            runtime,
            sender,
            write_limit,
            ..
        } = self;
        sender.reserve_capacity(bytes.len());
        let mut length = sender.capacity();
        if length == 0 {
            let capacity = std::future::poll_fn(|context| sender.poll_capacity(context));
            length = Self::wait(runtime, *write_limit, capacity)?
                .ok_or_else(|| Error::from(ErrorKind::BrokenPipe))?;
        }
        let length = length.min(bytes.len());
        sender
            .send_data(Bytes::copy_from_slice(&bytes[..length]), false)
            .map_err(|error| Error::new(ErrorKind::BrokenPipe, error))?;
        Ok(length)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn runtime() -> Result<Arc<Runtime>> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    Ok(Arc::new(runtime))
}
