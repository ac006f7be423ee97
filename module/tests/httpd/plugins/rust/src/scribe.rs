//! Logs lines for clients: `LEVEL TEXT`, from a callback or from a thread.

use std::thread;
use websocket_plugin::{Close, CloseCode, Message, Plugin, Sender, websocket_plugin};

/// Answers `logged` after it has written the line. `thread LEVEL TEXT` writes it from a thread.
#[derive(Default)]
struct Scribe;

#[websocket_plugin]
impl Plugin for Scribe {
    fn on_message(&self, _: &mut (), to: &Sender, m: Message<'_>) -> Result<(), Close> {
        let words = m.as_text().unwrap_or_default();
        let logged = match words.strip_prefix("thread ") {
            None => write(words),
            Some(words) => {
                thread::scope(|scope| scope.spawn(|| write(words)).join().ok().flatten())
            }
        };
        logged.ok_or(Close::new(CloseCode::POLICY_VIOLATION, "LEVEL TEXT"))?;
        Ok(to.send("logged")?)
    }
}

/// Returns `None` if there is no such level.
fn write(words: &str) -> Option<()> {
    let (level, text) = words.split_once(' ')?;
    log::log!(level.parse().ok()?, "{text}");
    Some(())
}
