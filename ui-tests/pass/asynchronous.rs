#![forbid(unsafe_code)]
#![deny(warnings)]

use std::time::Duration;
use websocket_plugin::{
    AsyncPlugin, BoxError, Close, Disconnect, Handshake, Message, Options, Rejection, Sender, Tick,
    Ticks, websocket_plugin,
};

/// Public, because rustc checks signatures of public types more strictly.
pub struct Chat {
    greeting: String,
}

/// One client.
pub struct Member {
    name: String,
}

#[websocket_plugin(symbol = "start_chat", subprotocols("chat.v2", "chat.v1"), workers = 4)]
impl AsyncPlugin for Chat {
    type Connection = Member;

    fn configure(options: &Options) -> Result<Self, BoxError> {
        let greeting = options.require("greeting")?.to_owned();
        Ok(Self { greeting })
    }

    async fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Member, Rejection> {
        let name = handshake.user().ok_or(Rejection::FORBIDDEN)?.to_owned();
        std::future::ready(()).await;
        handshake.sender().send(&self.greeting)?;
        Ok(Member { name })
    }

    async fn on_message(
        &self,
        member: &mut Member,
        sender: &Sender,
        message: Message<'_>,
    ) -> Result<(), Close> {
        let text = format!("{}: {message:?}", member.name);
        member.name.push('!');
        Ok(sender.send_async(&text).await?)
    }

    fn ticks(&self) -> Option<Ticks> {
        Some(Ticks::in_one_process(Duration::from_secs(60)))
    }

    async fn on_tick(&self, tick: &Tick) -> Result<(), BoxError> {
        std::future::ready(()).await;
        tick.topics.publish("greeting", self.greeting.as_str())?;
        Ok(())
    }

    async fn on_disconnect(&self, member: Member, _: Disconnect) {
        std::future::ready(member).await;
    }
}

/// Public, and without anything that can be left out.
#[derive(Default)]
pub struct Echo;

#[websocket_plugin]
impl websocket_plugin::AsyncPlugin for Echo {
    async fn on_message(
        &self,
        (): &mut (),
        sender: &Sender,
        message: Message<'_>,
    ) -> Result<(), Close> {
        Ok(sender.send_async(message).await?)
    }
}

/// Part of another plugin, which calls its methods.
#[derive(Default)]
pub struct Part<T>(T);

#[websocket_plugin(export = false)]
impl<T: Default + Send + Sync + 'static> AsyncPlugin for Part<T> {
    async fn on_message(
        &self,
        (): &mut (),
        sender: &Sender,
        message: Message<'_>,
    ) -> Result<(), Close> {
        Ok(sender.send_async(message).await?)
    }
}

fn main() {}
