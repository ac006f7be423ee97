#![forbid(unsafe_code)]
#![deny(warnings)]

use websocket_plugin::{
    Close, CloseCode, Disconnect, Handshake, Message, OptionError, Options, Plugin, Rejection,
    Sender, websocket_plugin,
};

/// Public, because rustc checks signatures of public types more strictly.
pub struct Chat {
    greeting: String,
}

/// One client.
pub struct Member {
    name: String,
}

#[websocket_plugin(symbol = "start_chat", subprotocols("chat.v2", "chat.v1"))]
impl Plugin for Chat {
    type Connection = Member;

    fn configure(options: &Options) -> Result<Self, OptionError> {
        Ok(Self { greeting: options.require("greeting")?.to_owned() })
    }

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Member, Rejection> {
        let name = handshake.user().ok_or(Rejection::FORBIDDEN)?.to_owned();
        handshake.sender().send(&self.greeting)?;
        Ok(Member { name })
    }

    fn on_message(
        &self,
        member: &mut Member,
        sender: &Sender,
        message: Message<'_>,
    ) -> Result<(), Close> {
        let Message::Text(line) = message else {
            return Err(Close::new(CloseCode::UNSUPPORTED_DATA, "text only"));
        };
        let number: u32 = line.parse()?;
        Ok(sender.send(&format!("{}: {number}", member.name))?)
    }

    fn on_disconnect(&self, member: Member, _: Disconnect) {
        drop(member.name);
    }
}

fn main() {}
