//! An echo that pauses its client until a file exists.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use websocket_plugin::{
    Close, CloseCode, Disconnect, Handshake, Message, Plugin, Rejection, Sender, websocket_plugin,
};

static MEGABYTE: [u8; 1 << 20] = [0; 1 << 20];

/// At `pause FILE` it pauses, and resumes when the file exists; at `leave FILE` it closes then. It
/// says `paused` and `resuming`. With the request header `X-Early: FILE` it pauses in `on_connect`.
/// At `fill FILE` it sends as much as it may, then writes `full` to the file, and says `drained`
/// later.
#[derive(Default)]
struct Valve;

#[websocket_plugin]
impl Plugin for Valve {
    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
        if let Some(file) = handshake.header("X-Early").map(str::to_owned) {
            let sender = handshake.sender();
            assert!(sender.pause());
            when_there(file, sender, Sender::resume);
        }
        Ok(())
    }

    fn on_message(&self, _: &mut (), to: &Sender, m: Message<'_>) -> Result<(), Close> {
        match m.as_text().and_then(|text| text.split_once(' ')) {
            Some(("pause", file)) => {
                to.send("paused")?;
                assert!(to.pause());
                when_there(file.to_owned(), to.clone(), |to| {
                    let _ = to.send("resuming");
                    to.resume();
                });
            }
            Some(("leave", file)) => {
                to.send("paused")?;
                assert!(to.pause());
                when_there(file.to_owned(), to.clone(), |to| {
                    let _ = to.close(CloseCode::NORMAL);
                });
            }
            Some(("fill", file)) => {
                while to.try_send(MEGABYTE).is_ok() {}
                fs::write(file, "full")?;
            }
            _ => to.send(m)?,
        }
        Ok(())
    }

    fn on_drain(&self, _: &mut (), to: &Sender) -> Result<(), Close> {
        Ok(to.try_send("drained")?)
    }

    fn on_disconnect(&self, (): (), disconnect: Disconnect) {
        log::info!("gone: {disconnect}, clean: {}", disconnect.is_clean());
    }
}

/// Runs `action` on a thread of its own when the file exists, unless the connection ends before.
fn when_there(file: String, to: Sender, action: impl FnOnce(&Sender) + Send + 'static) {
    thread::spawn(move || {
        while !Path::new(&file).exists() {
            if !to.is_open() {
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
        action(&to);
    });
}
