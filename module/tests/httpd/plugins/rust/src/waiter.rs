//! Waits for a server, which the test is.

use std::future::pending;
use std::io;
use std::mem::forget;
use std::thread::sleep;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use websocket_plugin::{
    AsyncPlugin, Close, Disconnect, Handshake, Message, MessageKind, Rejection, SendError, Sender,
    Topics, websocket_plugin,
};

/// Messages are commands; those that are none come back:
///
/// * `ask PORT TEXT` asks the server at that port, and tells the client what it says.
/// * `panic` panics after it has waited.
/// * `post TEXT` and `later MILLISECONDS TEXT` have an event tell the client the text.
/// * `later-ask MILLISECONDS TEXT PORT QUESTION` does in one callback what `later` and `ask` do.
/// * `flood COUNT` sends so many messages of 64 KiB.
/// * `fill` sends until the queue is full, and `drained` when there is room again.
/// * `storm` has a task send without end.
/// * `lose` begins a message that never ends, and sends others for as long as it may.
/// * `never` comes back, and makes `on_disconnect` wait for ever; `block` makes it keep a thread of
///   the runtime for ever, which publishes; `late TOPIC` makes it wait and then publish.
///
/// The query `ask=PORT` makes it ask there whether a client may connect, and tell it when the
/// client has gone. The answer is `yes`, `no`, or `busy`, `error` or `panic`, of which the client is
/// told 420, or 500. `greet=COUNT` makes `on_connect` send so many messages of 64 KiB.
#[derive(Default)]
struct Waiter;

struct Client {
    port: Option<u16>,
    topics: Topics,
    fills: bool,
    end: End,
}

enum End {
    Orderly,
    Never,
    Blocks,
    Publishes(String),
}

/// Tells the client this text.
struct Tell(String);

const LARGE: &[u8] = &[b'x'; 64 * 1024];

#[websocket_plugin(workers = 2)]
impl AsyncPlugin for Waiter {
    type Connection = Client;
    type Event = Tell;

    async fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Client, Rejection> {
        let mut port = None;
        if let Some(asked) = handshake.query_value("ask") {
            let asked = asked.parse()?;
            match &*ask(asked, "may it connect?").await? {
                "yes" => port = Some(asked),
                "panic" => panic!("it has waited"),
                "error" => return Err("there is no answer".into()),
                "busy" => {
                    let busy = Rejection::new(420).with_header("X-Why", "busy")?;
                    return Err(busy.with_body("it is busy"));
                }
                _ => return Err(Rejection::FORBIDDEN),
            }
        }
        if let Some(count) = handshake.query_value("greet") {
            let sender = handshake.sender();
            for _ in 0..count.parse()? {
                match sender.send_async(LARGE).await {
                    Err(SendError::Full) => return Err(Rejection::TOO_MANY_REQUESTS),
                    sent => sent?,
                }
            }
        }
        Ok(Client {
            port,
            topics: handshake.topics()?,
            fills: false,
            end: End::Orderly,
        })
    }

    async fn on_message(
        &self,
        client: &mut Client,
        to: &Sender,
        message: Message<'_>,
    ) -> Result<(), Close> {
        let text = message.as_text().unwrap_or_default();
        let (command, rest) = text.split_once(' ').unwrap_or((text, ""));
        match command {
            "ask" => return answer(to, rest).await,
            "post" => return Ok(to.post::<Self>(Tell(rest.into()))?),
            "later" => {
                let (delay, text) = rest.split_once(' ').ok_or("no time")?;
                return tell_later(to, delay, text);
            }
            "later-ask" => {
                let (delay, rest) = rest.split_once(' ').ok_or("no time")?;
                let (text, question) = rest.split_once(' ').ok_or("no text")?;
                tell_later(to, delay, text)?;
                return answer(to, question).await;
            }
            "flood" => {
                for _ in 0..rest.parse()? {
                    to.send_async(LARGE).await?;
                }
                return Ok(());
            }
            "fill" => {
                client.fills = true;
                while to.try_send(LARGE) != Err(SendError::Full) {}
                return Ok(());
            }
            "lose" => {
                forget(to.begin(MessageKind::Text)?);
                loop {
                    to.send_async(LARGE).await?;
                }
            }
            "storm" => {
                let sender = to.clone();
                tokio::spawn(async move {
                    while sender.try_send(&LARGE[..100]) != Err(SendError::Closed) {
                        tokio::task::yield_now().await;
                    }
                });
                return Ok(());
            }
            "never" => client.end = End::Never,
            "block" => client.end = End::Blocks,
            "late" => client.end = End::Publishes(rest.into()),
            "panic" => {
                tokio::time::sleep(Duration::from_millis(1)).await;
                panic!("it has waited");
            }
            _ => {}
        }
        Ok(to.send_async(message).await?)
    }

    async fn on_event(&self, _: &mut Client, to: &Sender, event: Tell) -> Result<(), Close> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(to.send_async(&event.0).await?)
    }

    async fn on_drain(&self, client: &mut Client, to: &Sender) -> Result<(), Close> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if client.fills {
            to.send_async("drained").await?;
        }
        Ok(())
    }

    async fn on_disconnect(&self, client: Client, disconnect: Disconnect) {
        match client.end {
            End::Orderly => {}
            End::Never => pending().await,
            End::Publishes(topic) => {
                tokio::time::sleep(Duration::from_millis(300)).await;
                if let Err(error) = client.topics.publish(&topic, "late") {
                    log::error!("not published: {error}");
                }
            }
            End::Blocks => {
                // From here on it is on a thread of the runtime.
                tokio::time::sleep(Duration::from_millis(1)).await;
                loop {
                    // When the process ends, nothing is left to publish with.
                    let _ = client.topics.publish("blocked", "hello");
                    sleep(Duration::from_millis(1));
                }
            }
        }
        if let Some(port) = client.port {
            // If the test is over, nobody wants to know.
            let _ = ask(port, &format!("gone {}", disconnect.code())).await;
        }
    }
}

fn tell_later(to: &Sender, milliseconds: &str, text: &str) -> Result<(), Close> {
    let delay = Duration::from_millis(milliseconds.parse()?);
    Ok(to.after::<Waiter>(delay, Tell(text.into()))?)
}

/// Asks `PORT QUESTION`, and tells the client the answer.
async fn answer(to: &Sender, question: &str) -> Result<(), Close> {
    let (port, question) = question.split_once(' ').ok_or("no port")?;
    let answer = ask(port.parse()?, question).await?;
    Ok(to.send_async(&answer).await?)
}

/// The answer of the server at this port.
pub(crate) async fn ask(port: u16, question: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(format!("{question}\n").as_bytes()).await?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).await?;
    Ok(answer.trim_end().to_owned())
}
