//! The subprotocol selects the function: `reverse.example` reverses texts, and `upper.example`
//! makes them upper case. A client that offers neither is refused.
//!
//! ```apache
//! <Location "/subprotocol">
//!     SetHandler websocket-handler
//!     WebSocketHandler modules/libwebsocket_subprotocol.so subprotocol_init
//! </Location>
//! ```
#![forbid(unsafe_code)]

use websocket_plugin::{
    Close, CloseCode, Handshake, Message, Plugin, Rejection, Sender, websocket_plugin,
};

/// The plugin.
#[derive(Default)]
pub struct Subprotocol;

/// The function that a connection applies to texts.
pub type Transform = fn(&str) -> String;

#[websocket_plugin]
impl Plugin for Subprotocol {
    type Connection = Transform;

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Transform, Rejection> {
        match handshake.negotiate_subprotocol(&["reverse.example", "upper.example"]) {
            Some("reverse.example") => Ok(|text| text.chars().rev().collect()),
            Some(_) => Ok(str::to_uppercase),
            None => Err(Rejection::BAD_REQUEST),
        }
    }

    fn on_message(
        &self,
        transform: &mut Transform,
        sender: &Sender,
        message: Message<'_>,
    ) -> Result<(), Close> {
        let Message::Text(text) = message else {
            return Err(Close::new(CloseCode::UNSUPPORTED_DATA, "text only"));
        };
        Ok(sender.send(transform(text))?)
    }
}

#[cfg(test)]
mod tests {
    use super::Subprotocol;
    use websocket_plugin::CloseCode;
    use websocket_plugin::testing::{Host, Received, Request};

    #[test]
    fn the_plugin_prefers_reverse() {
        let host = Host::load::<Subprotocol>();
        let cases = [
            (&["upper.example"][..], "upper.example", "ABC"),
            (&["other", "reverse.example"], "reverse.example", "cba"),
            (
                &["upper.example", "reverse.example"],
                "reverse.example",
                "cba",
            ),
        ];
        for (offered, chosen, answer) in cases {
            let mut client = host.connect(Request::new().subprotocols(offered)).unwrap();
            assert_eq!(client.subprotocol().as_deref(), Some(chosen));
            client.send("abc");
            assert_eq!(client.received(), [Received::Text(answer.into())]);
        }
    }

    #[test]
    fn a_client_that_offers_neither_is_refused() {
        let host = Host::load::<Subprotocol>();
        assert_eq!(host.connect(Request::new()).err(), Some(400));
        assert_eq!(
            host.connect(Request::new().subprotocols(&["UPPER.example"]))
                .err(),
            Some(400)
        );
    }

    #[test]
    fn binary_messages_are_not_supported() {
        let host = Host::load::<Subprotocol>();
        let request = Request::new().subprotocols(&["upper.example"]);
        let mut client = host.connect(request).unwrap();
        client.send(b"abc");
        let close = Received::Close(CloseCode::UNSUPPORTED_DATA, "text only".into());
        assert_eq!(client.received(), [close]);
    }
}
