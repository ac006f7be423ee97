//! Waits for a server, which the test is.

use std::future::pending;
use std::io;
use std::thread::sleep;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use websocket_plugin::{
    AsyncPlugin, Close, Disconnect, Handshake, Message, Rejection, Sender, websocket_plugin,
};

/// Messages are commands. `ask PORT TEXT` asks the server at that port, and tells the client what
/// it says. `panic` panics after it has waited. `never` makes `on_disconnect` wait for ever, and
/// `block` makes it block a thread of the runtime. All others come back.
///
/// The query `ask=PORT` makes it ask there whether a client may connect, and tell it when the
/// client has gone.
#[derive(Default)]
struct Waiter;

struct Client {
    port: Option<u16>,
    end: End,
}

enum End {
    Orderly,
    Never,
    Blocks,
}

#[websocket_plugin(workers = 2)]
impl AsyncPlugin for Waiter {
    type Connection = Client;

    async fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Client, Rejection> {
        let mut port = None;
        if let Some(asked) = handshake.query_value("ask") {
            let asked = asked.parse()?;
            if ask(asked, "may it connect?").await? != "yes" {
                return Err(Rejection::FORBIDDEN);
            }
            port = Some(asked);
        }
        let end = End::Orderly;
        Ok(Client { port, end })
    }

    async fn on_message(
        &self,
        client: &mut Client,
        to: &Sender,
        message: Message<'_>,
    ) -> Result<(), Close> {
        let text = message.as_text().unwrap_or_default();
        match text {
            "never" => client.end = End::Never,
            "block" => client.end = End::Blocks,
            "panic" => {
                tokio::time::sleep(Duration::from_millis(1)).await;
                panic!("it has waited");
            }
            _ => {}
        }
        let Some(question) = text.strip_prefix("ask ") else {
            return Ok(to.send_async(message).await?);
        };
        let (port, question) = question.split_once(' ').ok_or("no port")?;
        let answer = ask(port.parse()?, question).await?;
        Ok(to.send_async(&answer).await?)
    }

    async fn on_disconnect(&self, client: Client, disconnect: Disconnect) {
        match client.end {
            End::Orderly => {}
            End::Never => pending().await,
            End::Blocks => {
                // From here on it is on a thread of the runtime.
                tokio::time::sleep(Duration::from_millis(1)).await;
                sleep(Duration::from_secs(3600));
            }
        }
        if let Some(port) = client.port {
            // If the test is over, nobody wants to know.
            let _ = ask(port, &format!("gone {}", disconnect.code())).await;
        }
    }
}

/// The answer of the server at this port.
async fn ask(port: u16, question: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(format!("{question}\n").as_bytes()).await?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).await?;
    Ok(answer.trim_end().to_owned())
}
