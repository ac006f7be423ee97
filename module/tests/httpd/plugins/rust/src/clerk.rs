//! A plugin that posts events to its connections.

use std::thread;
use std::time::Duration;

use websocket_plugin::{
    Close, Disconnect, Handshake, Message, Plugin, Rejection, Sender, websocket_plugin,
};

/// `post N` posts that many events, `thread N` does so in a thread, `after MS` later; `flood` as
/// many as there may be; `keep` one that is not handled. Other messages are sent back. An event is
/// answered with the number of events so far and its text, of a flood each 1024th.
#[derive(Default)]
struct Clerk;

/// An event. It logs when it is dropped without being handled.
struct Note {
    text: String,
    is_handled: bool,
}

impl Note {
    fn of(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            is_handled: false,
        }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        if !self.is_handled {
            log::info!("dropped {}", self.text);
        }
    }
}

#[websocket_plugin]
impl Plugin for Clerk {
    type Connection = u32;
    type Event = Note;

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<u32, Rejection> {
        if handshake.header("X-Early").is_some() {
            handshake.sender().post::<Self>(Note::of("early"))?;
        }
        Ok(0)
    }

    fn on_message(&self, _: &mut u32, to: &Sender, m: Message<'_>) -> Result<(), Close> {
        let text = m.as_text().unwrap_or_default();
        match text.split_once(' ') {
            Some(("post", count)) => post(to, count.parse()?)?,
            Some(("thread", count)) => {
                let (to, count) = (to.clone(), count.parse()?);
                thread::spawn(move || post(&to, count));
            }
            Some(("after", delay)) => {
                let delay = Duration::from_millis(delay.parse()?);
                to.after::<Self>(delay, Note::of("later"))?;
            }
            _ if text == "flood" => {
                let posted = (0..).take_while(|_| to.post::<Self>(Note::of("flood")).is_ok());
                to.send(format!("flooded {}", posted.count()))?;
            }
            _ if text == "keep" => to.after::<Self>(Duration::from_secs(3600), Note::of("kept"))?,
            _ => to.send(m)?,
        }
        Ok(())
    }

    fn on_event(&self, count: &mut u32, to: &Sender, mut note: Note) -> Result<(), Close> {
        *count += 1;
        note.is_handled = true;
        match note.text.as_str() {
            "flood" if !count.is_multiple_of(1024) => Ok(()),
            text => Ok(to.send(format!("{count} {text}"))?),
        }
    }

    fn on_disconnect(&self, count: u32, _: Disconnect) {
        log::info!("gone after {count} events");
    }
}

fn post(to: &Sender, count: u32) -> Result<(), websocket_plugin::PostError> {
    (0..count).try_for_each(|number| to.post::<Clerk>(Note::of(number.to_string())))
}
