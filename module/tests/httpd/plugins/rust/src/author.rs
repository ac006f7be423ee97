//! Writes messages piece by piece.

use std::io::Write;
use std::thread;

use websocket_plugin::{
    Close, CloseCode, Handshake, Message, MessageKind, MessageWriter, Plugin, Rejection, SendError,
    Sender, websocket_plugin,
};

const MEGABYTE: &[u8] = &[b'x'; 1 << 20];

/// Does what a text says: `begin`, `add TEXT`, `flush`, `finish`, `drop`, `panic`, `close`,
/// `subscribe TOPIC`, `publish TOPIC`, `fill` with messages until there is no room for more, and `long MIB`,
/// or `thread MIB` on a thread of its own. It echoes the rest. `begin` says `busy` if a message has
/// begun.
#[derive(Default)]
struct Author;

#[websocket_plugin]
impl Plugin for Author {
    type Connection = Option<MessageWriter>;

    fn on_connect(&self, _: &mut Handshake<'_>) -> Result<Option<MessageWriter>, Rejection> {
        Ok(None)
    }

    fn on_message(
        &self,
        writer: &mut Option<MessageWriter>,
        to: &Sender,
        message: Message<'_>,
    ) -> Result<(), Close> {
        let text = message.as_text().unwrap_or_default();
        let (command, argument) = text.split_once(' ').unwrap_or((text, ""));
        let open = || CloseCode::UNSUPPORTED_DATA;
        match command {
            "begin" => match to.begin(MessageKind::Text) {
                Ok(begun) => *writer = Some(begun),
                Err(SendError::Busy) => to.send("busy")?,
                Err(error) => return Err(error.into()),
            },
            "add" => write!(writer.as_mut().ok_or_else(open)?, "{argument}")?,
            "flush" => writer.as_mut().ok_or_else(open)?.flush()?,
            "finish" => writer.take().ok_or_else(open)?.finish()?,
            "drop" => *writer = None,
            "panic" => {
                let _begun = to.begin(MessageKind::Text)?;
                panic!("as told");
            }
            "close" => to.close(CloseCode::GOING_AWAY)?,
            "subscribe" => drop(to.subscribe(argument)?),
            "publish" => drop(to.publish(argument, "topic")?),
            "fill" => {
                let mut count = 0;
                while to.try_send(MEGABYTE) != Err(SendError::Full) {
                    count += 1;
                }
                write!(writer.as_mut().ok_or_else(open)?, "{count}")?;
            }
            "long" => write_long(to, argument.parse()?)?,
            "thread" => {
                let (to, mib) = (to.clone(), argument.parse()?);
                thread::spawn(move || write_long(&to, mib));
            }
            _ => to.send(message)?,
        }
        Ok(())
    }
}

fn write_long(to: &Sender, mib: u32) -> Result<(), Close> {
    let mut message = to.begin(MessageKind::Binary)?;
    for _ in 0..mib {
        message.write_all(MEGABYTE)?;
    }
    Ok(message.finish()?)
}
