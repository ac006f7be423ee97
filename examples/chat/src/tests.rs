use super::{Chat, Event};
use websocket_plugin::testing::{Client, Host, Received, Request};
use websocket_plugin::{CloseCode, Message};

fn heard(client: &Client<'_>) -> Vec<Event> {
    let event = |received| match received {
        Received::Text(json) => Message::Text(&json).json().unwrap(),
        other => panic!("{other:?}"),
    };
    client.received().into_iter().map(event).collect()
}

fn joined(name: &str) -> Event {
    Event::Joined { name: name.into() }
}

fn said(name: &str, text: &str) -> Event {
    Event::Said {
        name: name.into(),
        text: text.into(),
    }
}

#[test]
fn every_member_gets_every_message() {
    let host = Host::load::<Chat>();
    let mut alice = host.connect(Request::new().user("alice")).unwrap();
    let mut guest = host.connect(Request::new()).unwrap();
    alice.send(r#"{"type": "say", "text": "hello"}"#);
    guest.send(r#"{"type": "rename", "name": "bob"}"#);
    guest.send(r#"{"type": "say", "text": "hi"}"#);
    let renamed = Event::Renamed {
        from: "guest-2".into(),
        name: "bob".into(),
    };
    let both = [
        joined("guest-2"),
        said("alice", "hello"),
        renamed,
        said("bob", "hi"),
    ];
    assert_eq!(heard(&guest), both);
    guest.disconnect();
    let all = [
        &[joined("alice")][..],
        &both,
        &[Event::Left { name: "bob".into() }],
    ]
    .concat();
    assert_eq!(heard(&alice), all);
}

#[test]
fn a_new_member_gets_the_last_messages() {
    let host = Host::configure::<Chat>(&[("history", "2")]).unwrap();
    let mut alice = host.connect(Request::new().user("alice")).unwrap();
    for text in ["1", "2", "3"] {
        alice.send(&format!(r#"{{"type": "say", "text": "{text}"}}"#));
    }
    let bob = host.connect(Request::new().user("bob")).unwrap();
    assert_eq!(
        heard(&bob),
        [said("alice", "2"), said("alice", "3"), joined("bob")]
    );
}

#[test]
fn an_invalid_message_closes_only_its_connection() {
    let host = Host::load::<Chat>();
    let alice = host.connect(Request::new().user("alice")).unwrap();
    let cases = [
        ("nonsense", CloseCode::INVALID_PAYLOAD),
        (r#"{"type": "shout"}"#, CloseCode::INVALID_PAYLOAD),
        (
            r#"{"type": "rename", "name": ""}"#,
            CloseCode::POLICY_VIOLATION,
        ),
    ];
    for (nonsense, expected) in cases {
        let mut client = host.connect(Request::new()).unwrap();
        client.send(nonsense);
        let last = client.received().pop();
        assert!(
            matches!(last, Some(Received::Close(code, _)) if code == expected),
            "{nonsense}"
        );
    }
    assert_eq!(heard(&alice).len(), 1 + 2 * cases.len());
}

#[test]
fn a_member_who_does_not_keep_up_is_disconnected_and_delays_no_other() {
    let host = Host::load::<Chat>();
    let mut alice = host.connect(Request::new().user("alice")).unwrap();
    let slow = host.connect(Request::new().user("slow")).unwrap();
    let bob = host.connect(Request::new().user("bob")).unwrap();
    let mut heard_by_slow = heard(&slow);
    slow.stop_reading();
    for text in ["1", "2"] {
        alice.send(&format!(r#"{{"type": "say", "text": "{text}"}}"#));
    }
    let received = slow.received();
    assert!(
        matches!(
            &received[..],
            [Received::Close(CloseCode::TRY_AGAIN_LATER, _)]
        ),
        "{received:?}"
    );
    heard_by_slow.extend(heard(&slow));
    assert_eq!(heard_by_slow, [joined("slow"), joined("bob")]);
    let both = [joined("bob"), said("alice", "1"), said("alice", "2")];
    assert_eq!(heard(&bob), both);
    slow.disconnect();
    let left = Event::Left {
        name: "slow".into(),
    };
    assert_eq!(heard(&bob), [left]);
}

#[test]
fn a_misspelt_option_is_an_error() {
    let error = Host::configure::<Chat>(&[("histroy", "2")]).err();
    let text = "unknown option `histroy`: this plugin knows `history`";
    assert_eq!(error.as_deref(), Some(text));
}
