#![forbid(unsafe_code)]
#![deny(warnings)]

use websocket_plugin::{Close, Part, Plugin, Sender, websocket_plugin};

#[derive(Default)]
pub struct Upload;

#[websocket_plugin]
impl Plugin for Upload {
    fn on_part(&self, _: &mut (), to: &Sender, part: Part<'_>) -> Result<(), Close> {
        if part.is_last {
            to.send("done")?;
        }
        Ok(())
    }
}

fn main() {}
