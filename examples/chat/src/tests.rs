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

fn enter<'h>(host: &'h Host, room: &str, user: &str) -> Client<'h> {
    let request = Request::new().path_info(room).user(user);
    host.connect(request).unwrap()
}

fn say(client: &mut Client<'_>, text: &str) {
    client.send(format!(r#"{{"type": "say", "text": "{text}"}}"#));
}

fn you(name: &str) -> Event {
    Event::You { name: name.into() }
}

fn joined(name: &str) -> Event {
    Event::Joined { name: name.into() }
}

fn left(name: &str) -> Event {
    Event::Left { name: name.into() }
}

fn said(name: &str, text: &str) -> Event {
    Event::Said {
        name: name.into(),
        text: text.into(),
    }
}

#[test]
fn members_in_all_processes_get_every_message_in_the_same_order() {
    let here = Host::load::<Chat>();
    let there = here.another_process::<Chat>(&[]).unwrap();
    let mut alice = enter(&here, "", "alice");
    let mut bob = enter(&there, "/lobby/", "bob");
    say(&mut alice, "hello");
    bob.send(r#"{"type": "rename", "name": "bert"}"#);
    say(&mut bob, "hi");
    let renamed = Event::Renamed {
        from: "bob".into(),
        name: "bert".into(),
    };
    let both = [
        joined("bob"),
        said("alice", "hello"),
        renamed,
        said("bert", "hi"),
    ];
    let mut heard_by_bob = heard(&bob);
    assert_eq!(heard_by_bob.remove(0), you("bob"));
    assert_eq!(heard_by_bob.remove(2), you("bert"));
    assert_eq!(heard_by_bob, both);
    bob.disconnect();
    let mut all = vec![you("alice"), joined("alice")];
    all.extend(both);
    all.push(left("bert"));
    assert_eq!(heard(&alice), all);
}

#[test]
fn each_path_is_a_room() {
    let host = Host::load::<Chat>();
    let mut alice = enter(&host, "/games", "alice");
    let bob = enter(&host, "/games/chess", "bob");
    let carol = enter(&host, "/", "carol");
    say(&mut alice, "hello");
    drop(carol);
    let own = [you("alice"), joined("alice"), said("alice", "hello")];
    assert_eq!(heard(&alice), own);
    assert_eq!(heard(&bob), [you("bob"), joined("bob")]);
}

#[test]
fn a_room_whose_name_is_no_topic_does_not_exist() {
    let host = Host::load::<Chat>();
    let long = format!("/{}", "x".repeat(201));
    for path in ["/*", "/**", "/games/*", "/a*b", "/a\nb", &long] {
        let refused = host.connect(Request::new().path_info(path)).err();
        assert_eq!(refused, Some(404), "{path}");
    }
    assert!(host.connect(Request::new().path_info(&long[..201])).is_ok());
}

#[test]
fn guests_of_all_processes_have_different_names() {
    let here = Host::load::<Chat>();
    let there = here.another_process::<Chat>(&[]).unwrap();
    let [first, second] = [&here, &there].map(|host| {
        let client = host.connect(Request::new()).unwrap();
        heard(&client).remove(0)
    });
    assert!(matches!(&first, Event::You { name } if name.starts_with("guest-")));
    assert_ne!(first, second);
}

#[test]
fn a_new_member_gets_the_last_messages_that_are_kept() {
    let here = Host::configure::<Chat>(&[("history", "2")]).unwrap();
    here.keep_history("chat/**", 3);
    let there = here.another_process::<Chat>(&[]).unwrap();
    let nothing = here.another_process::<Chat>(&[("history", "0")]).unwrap();
    let mut alice = enter(&here, "", "alice");
    for text in ["1", "2", "3", "4"] {
        say(&mut alice, text);
    }
    let last = [2, 3, 4].map(|number| said("alice", &number.to_string()));
    for (host, name, old) in [
        (&here, "bob", &last[1..]),
        (&there, "carol", &last),
        (&nothing, "dave", &[]),
    ] {
        let mut expected = vec![you(name)];
        expected.extend_from_slice(old);
        expected.push(joined(name));
        assert_eq!(heard(&enter(host, "", name)), expected);
    }
    let other_room = enter(&there, "/games", "eve");
    assert_eq!(heard(&other_room), [you("eve"), joined("eve")]);
}

#[test]
fn an_invalid_message_closes_only_its_connection() {
    let host = Host::load::<Chat>();
    let alice = enter(&host, "", "alice");
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
    assert_eq!(heard(&alice).len(), 2 + 2 * cases.len());
}

#[test]
fn a_misspelt_option_is_an_error() {
    let error = Host::configure::<Chat>(&[("histroy", "2")]).err();
    let text = "unknown option `histroy`: this plugin knows `history`";
    assert_eq!(error.as_deref(), Some(text));
}
