//! A plugin that ticks.

use std::thread;
use std::time::Duration;

use websocket_plugin::{
    BoxError, Close, Handshake, Message, OptionError, Options, Plugin, Rejection, Sender, Tick,
    Ticks, websocket_plugin,
};

/// Publishes the process id and the time of each tick, in milliseconds, to the topic `ticks`. The
/// option `interval` is in milliseconds; without it there are no ticks. With `everywhere yes` all
/// processes tick. `trouble` is what each tick does besides: `panic`, `error`, `slow` (it takes
/// three intervals), `storm` (it publishes a message per millisecond forty times), or
/// `stuck` (it does not return for a minute). It sends messages back, and after `sleep MILLISECONDS`
/// it sleeps.
struct Metronome {
    interval: Option<u64>,
    is_everywhere: bool,
    trouble: String,
}

#[websocket_plugin]
impl Plugin for Metronome {
    fn configure(options: &Options) -> Result<Self, OptionError> {
        Ok(Self {
            interval: options.parse("interval")?,
            is_everywhere: options.get("everywhere").is_some(),
            trouble: options.get("trouble").unwrap_or_default().into(),
        })
    }

    fn ticks(&self) -> Option<Ticks> {
        let interval = Duration::from_millis(self.interval?);
        Some(if self.is_everywhere {
            Ticks::in_every_process(interval)
        } else {
            Ticks::in_one_process(interval)
        })
    }

    fn on_tick(&self, tick: &Tick) -> Result<(), BoxError> {
        let text = format!("{} {}", std::process::id(), tick.since_1970().as_millis());
        tick.topics.publish("ticks", text)?;
        match self.trouble.as_str() {
            "panic" => panic!("out of step"),
            "error" => return Err("out of tune".into()),
            "slow" => thread::sleep(Duration::from_millis(3 * self.interval.unwrap_or(0))),
            "storm" => {
                // Slow enough for the client to keep up, so that the connection stays open.
                for _ in 0..40 {
                    tick.topics.publish("ticks", "storm ".repeat(200))?;
                    thread::sleep(Duration::from_millis(1));
                }
            }
            "stuck" => {
                // httpd's error log gets this.
                eprintln!("a tick is stuck");
                thread::sleep(Duration::from_secs(60));
            }
            _ => {}
        }
        Ok(())
    }

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
        handshake.subscribe("ticks")?;
        Ok(())
    }

    fn on_message(&self, _: &mut (), to: &Sender, m: Message<'_>) -> Result<(), Close> {
        to.send(m)?;
        let text = m.as_text().unwrap_or_default();
        if let Some(milliseconds) = text.strip_prefix("sleep ") {
            // What was sent is written when the callback has returned, or soon.
            thread::sleep(Duration::from_millis(milliseconds.parse()?));
        }
        Ok(())
    }
}
