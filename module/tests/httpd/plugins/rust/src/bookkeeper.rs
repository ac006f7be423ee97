//! A plugin that counts.

use websocket_plugin::{
    Close, Counter, Disconnect, Gauge, Handshake, Histogram, Message, Options, Plugin, Rejection,
    Sender, websocket_plugin,
};

static NOTES: Counter = Counter::new("notes", "Notes \"taken\" in C:\\books").of::<BookKeeper>();
static GUESTS: Gauge = Gauge::new("guests", "Guests").of::<BookKeeper>();
static SIZES: Histogram = Histogram::new("size", "Sizes", &[1.0, 10.5]).of::<BookKeeper>();
static BAD: Counter = Counter::new("bad_total", "A bad name").of::<BookKeeper>();
static TWICE: Gauge = Gauge::new("notes", "A name that is taken").of::<BookKeeper>();

/// `note TEXT` counts a note with that label, `size NUMBER` a value, `bad` metrics that are
/// refused, `many N` that many series. Each is sent back. Each connection is a guest.
struct BookKeeper;

#[websocket_plugin]
impl Plugin for BookKeeper {
    fn configure(_: &Options) -> Result<Self, String> {
        // The parent process counts nothing.
        NOTES.inc();
        Ok(Self)
    }

    fn on_connect(&self, _: &mut Handshake<'_>) -> Result<(), Rejection> {
        GUESTS.inc();
        Ok(())
    }

    fn on_message(&self, _: &mut (), to: &Sender, m: Message<'_>) -> Result<(), Close> {
        let text = m.as_text().unwrap_or_default();
        match text.split_once(' ') {
            Some(("note", text)) => {
                NOTES.inc();
                NOTES.with(&[("text", text)]).inc();
            }
            Some(("size", size)) => SIZES.observe(size.parse()?),
            Some(("many", count)) => {
                for number in 0..count.parse()? {
                    NOTES.with(&[("number", &format!("{number}"))]).inc();
                }
            }
            None if text == "bad" => {
                BAD.inc();
                TWICE.inc();
            }
            _ => {}
        }
        Ok(to.send(m)?)
    }

    fn on_disconnect(&self, (): (), _: Disconnect) {
        GUESTS.dec();
    }
}
