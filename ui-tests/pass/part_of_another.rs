#![forbid(unsafe_code)]
#![deny(warnings)]

use websocket_plugin::{
    BoxError, Close, Handshake, Message, Options, Plugin, Rejection, Sender, websocket_plugin,
};

/// A plugin that wraps another one.
struct Logged<P>(P);

#[websocket_plugin(export = false)]
impl<P: Plugin> Plugin for Logged<P>
where
    P::Connection: Sync,
{
    type Connection = P::Connection;

    fn configure(options: &Options) -> Result<Self, BoxError> {
        Ok(Self(P::configure(options).map_err(Into::into)?))
    }

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Self::Connection, Rejection> {
        self.0.on_connect(handshake)
    }

    fn on_message(
        &self,
        connection: &mut Self::Connection,
        sender: &Sender,
        message: Message<'_>,
    ) -> Result<(), Close> {
        self.0.on_message(connection, sender, message)
    }
}

#[derive(Default)]
struct Echo;

#[websocket_plugin(export = false)]
impl Plugin for Echo {
    fn on_message(&self, _: &mut (), sender: &Sender, message: Message<'_>) -> Result<(), Close> {
        Ok(sender.send(message)?)
    }
}

type LoggedEcho = Logged<Echo>;

struct Exported(LoggedEcho);

#[websocket_plugin]
impl Plugin for Exported {
    fn configure(options: &Options) -> Result<Self, BoxError> {
        Ok(Self(LoggedEcho::configure(options)?))
    }

    fn on_message(&self, _: &mut (), sender: &Sender, message: Message<'_>) -> Result<(), Close> {
        self.0.on_message(&mut (), sender, message)
    }
}

fn main() {}
