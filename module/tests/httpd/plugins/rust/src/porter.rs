//! Takes messages in parts, and says what has come when one is complete.

use websocket_plugin::{
    Close, CloseCode, Disconnect, Handshake, MessageKind, Part, Plugin, Rejection, Sender,
    websocket_plugin,
};

/// The most bytes of a part.
const MOST: usize = 128 * 1024;

/// Answers a whole message with its kind, length and sum: `Text 5 532`. With the query `pause` it
/// pauses the client at each part. It panics at a part that is `panic`.
#[derive(Default)]
struct Porter;

#[derive(Default)]
struct Load {
    pauses: bool,
    is_paused: bool,
    kind: Option<MessageKind>,
    bytes: u64,
    sum: u32,
}

struct GoOn;

#[websocket_plugin]
impl Plugin for Porter {
    type Connection = Load;
    type Event = GoOn;

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Load, Rejection> {
        Ok(Load {
            pauses: handshake.query() == Some("pause"),
            ..Load::default()
        })
    }

    fn on_part(&self, load: &mut Load, to: &Sender, part: Part<'_>) -> Result<(), Close> {
        let Part {
            kind,
            bytes,
            is_last,
        } = part;
        assert_ne!(bytes, b"panic");
        let mistake = match () {
            () if load.is_paused => "a part in a pause",
            () if bytes.len() > MOST => "too long",
            () if bytes.is_empty() && !is_last => "empty",
            () if load.kind.is_some_and(|begun| begun != kind) => "of another kind",
            () if kind == MessageKind::Text && part.as_text().is_none() => "not UTF-8",
            () => "",
        };
        if !mistake.is_empty() {
            return Err(Close::new(CloseCode::INTERNAL_ERROR, mistake));
        }
        load.kind = Some(kind);
        load.bytes += bytes.len() as u64;
        load.sum = bytes.iter().fold(load.sum, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u32::from(*byte))
        });
        if is_last {
            to.send(format!("{kind:?} {} {}", load.bytes, load.sum))?;
            (load.kind, load.bytes, load.sum) = (None, 0, 0);
        }
        if load.pauses {
            load.is_paused = to.pause();
            to.post::<Self>(GoOn)?;
        }
        Ok(())
    }

    fn on_event(&self, load: &mut Load, to: &Sender, GoOn: GoOn) -> Result<(), Close> {
        load.is_paused = false;
        to.resume();
        Ok(())
    }

    fn on_disconnect(&self, load: Load, disconnect: Disconnect) {
        let where_it_was = match load.kind {
            Some(_) => "in",
            None => "between",
        };
        log::info!(
            "gone {where_it_was} messages after {} bytes: {disconnect}",
            load.bytes
        );
    }
}
