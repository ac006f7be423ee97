//! Reports its options, and rejects some.

use std::fmt::Write as _;
use websocket_plugin::{
    Close, Handshake, Message, OptionError, Options, Plugin, Rejection, Sender, websocket_plugin,
};

/// Sends its options to each new client: `NAME=VALUE`, sorted, separated by spaces.
struct Settings {
    text: String,
}

#[websocket_plugin]
impl Plugin for Settings {
    fn configure(options: &Options) -> Result<Self, OptionError> {
        if let Some(mood) = options.get("mood") {
            return Err(OptionError::invalid(
                "mood",
                mood,
                "there are no moods here",
            ));
        }
        let mut pairs: Vec<_> = options.iter().collect();
        pairs.sort_unstable();
        let mut text = String::new();
        for (name, value) in pairs {
            let blank = if text.is_empty() { "" } else { " " };
            let _ = write!(text, "{blank}{name}={value}"); // a String takes everything
        }
        Ok(Self { text })
    }

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
        Ok(handshake.sender().send(&self.text)?)
    }

    fn on_message(&self, _: &mut (), to: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(to.send(&self.text)?)
    }
}
