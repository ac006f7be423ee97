//! Limits the threads of its process.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use websocket_plugin::{Close, Message, Plugin, Sender, websocket_plugin};

/// `limit` keeps this process from starting more threads, and `lift` lets it again. Messages come
/// back when that is done.
#[derive(Default)]
struct Miser {
    usual: OnceLock<Rlimit>,
}

#[websocket_plugin]
impl Plugin for Miser {
    fn on_message(&self, _: &mut (), to: &Sender, message: Message<'_>) -> Result<(), Close> {
        let usual = self.usual.get_or_init(|| getrlimit(Resource::Nproc));
        let limit = match message.as_text() {
            Some("limit") => Some(1),
            _ => usual.current,
        };
        let limit = Rlimit {
            current: limit,
            maximum: usual.maximum,
        };
        setrlimit(Resource::Nproc, limit)?;
        Ok(to.send(message)?)
    }
}
