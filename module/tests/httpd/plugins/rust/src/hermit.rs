//! An echo that can be told to close and to send from a thread, and that logs the end of a client.

use std::thread;
use websocket_plugin::{Close, CloseCode, Disconnect, Message, Plugin, Sender, websocket_plugin};

/// Messages `close CODE`, `texts COUNT`, `big SIZE`, `bigs SIZE` and `flood` are commands. All
/// others are sent back.
#[derive(Default)]
struct Hermit;

#[websocket_plugin]
impl Plugin for Hermit {
    fn on_message(&self, _: &mut (), to: &Sender, m: Message<'_>) -> Result<(), Close> {
        let words = m.as_text().and_then(|text| text.split_once(' '));
        match (words, m.as_text()) {
            (Some(("close", code)), _) => {
                let code = code.parse().ok().and_then(CloseCode::new);
                return Err(Close::new(code.unwrap_or(CloseCode::NORMAL), "as told"));
            }
            (Some(("texts", count)), _) => {
                let (to, count) = (to.clone(), count.parse().unwrap_or(0));
                thread::spawn(move || (0..count).all(|n| to.send(format!("text {n}")).is_ok()));
            }
            (Some(("big", size)), _) => to.send(vec![0; size.parse().unwrap_or(0)])?,
            (Some(("bigs", size)), _) => flood(to.clone(), size.parse().unwrap_or(0)),
            (_, Some("flood")) => flood(to.clone(), 65_536),
            _ => to.send(m)?,
        }
        Ok(())
    }

    fn on_disconnect(&self, (): (), disconnect: Disconnect) {
        let clean = if disconnect.is_clean() {
            "clean"
        } else {
            "not clean"
        };
        log::info!("gone: {disconnect}, {clean}");
    }
}

/// Sends messages of this size from a thread, as long as the client takes them.
fn flood(to: Sender, size: usize) {
    thread::spawn(move || {
        let message = vec![0; size];
        while to.send(&message).is_ok() {}
    });
}
