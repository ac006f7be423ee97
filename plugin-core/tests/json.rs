//! Sending and receiving values as JSON.
#![forbid(unsafe_code)]
#![cfg(feature = "json")]

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use websocket_plugin::testing::{Host, Received, Request};
use websocket_plugin::{
    Close, CloseCode, InvalidJson, Message, Plugin, SendJsonError, Sender, websocket_plugin,
};

#[derive(Default)]
struct Sum;

#[websocket_plugin]
impl Plugin for Sum {
    fn on_message(&self, _: &mut (), sender: &Sender, message: Message<'_>) -> Result<(), Close> {
        let numbers: Vec<i64> = message.json()?;
        sender.send_json(&numbers.iter().sum::<i64>())?;
        // JSON objects cannot have tuples as keys.
        let unwritable = HashMap::from([((1, 2), 3)]);
        assert!(matches!(
            sender.send_json(&unwritable),
            Err(SendJsonError::Json(_))
        ));
        Ok(())
    }
}

#[test]
fn text_and_binary_messages_are_read_and_text_is_sent() {
    let host = Host::load::<Sum>();
    let mut client = host.connect(Request::new()).unwrap();
    client.send("[1, 2, 3]");
    client.send(b"[]");
    let expected = ["6", "0"].map(|sum| Received::Text(sum.into()));
    assert_eq!(client.received(), expected);
}

#[test]
fn a_client_that_sends_other_json_is_told_so_with_1007_and_nothing_is_logged() {
    let host = Host::load::<Sum>();
    for (message, reason) in [
        ("nonsense", "expected ident at line 1 column 2"),
        (
            r#"["one"]"#,
            "invalid type: string \"one\", expected i64 at line 1 column 6",
        ),
    ] {
        let mut client = host.connect(Request::new()).unwrap();
        client.send(message);
        let close = Received::Close(CloseCode::INVALID_PAYLOAD, reason.into());
        assert_eq!(client.received(), [close]);
    }
    assert_eq!(host.log(), []);
}

#[test]
fn a_wrapped_error_about_json_closes_with_1007_too() {
    #[derive(Debug)]
    struct Wrapper(InvalidJson);
    impl fmt::Display for Wrapper {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("no numbers")
        }
    }
    impl Error for Wrapper {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.0.source()
        }
    }
    let error = Message::Text("{").json::<i64>().unwrap_err();
    assert!(error.error().is_data());
    let close = Close::from(Wrapper(error));
    assert_eq!(close.code(), CloseCode::INVALID_PAYLOAD);
    assert_eq!(
        close.reason(),
        "invalid type: map, expected i64 at line 1 column 0"
    );
}
