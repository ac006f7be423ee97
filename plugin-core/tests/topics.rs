//! Topics of test hosts, and what plugins see of them.
#![cfg(feature = "json")]

use websocket_plugin::testing::{Client, Host, Received, Request};
use websocket_plugin::{
    Close, Handshake, Message, Plugin, Position, Recovery, Rejection, Sender, Subscription,
    TopicError, Topics, websocket_plugin,
};

/// Subscribes to what the query names, and does what it is told.
#[derive(Default)]
struct Room;

#[websocket_plugin]
impl Plugin for Room {
    type Connection = Topics;

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<Topics, Rejection> {
        if let Some(topic) = handshake.query() {
            handshake.subscribe(Subscription::to(topic).with_info("guest"))?;
        }
        Ok(handshake.topics()?)
    }

    fn on_message(&self, topics: &mut Topics, to: &Sender, m: Message<'_>) -> Result<(), Close> {
        let text = m.as_text().unwrap_or_default();
        match text.split_once(' ') {
            Some(("sub", topic)) => drop(to.subscribe(topic)?),
            Some(("envelope", topic)) => drop(to.subscribe(Subscription::to(topic).in_envelope())?),
            Some(("unsub", topic)) => to.unsubscribe(topic)?,
            Some(("json", topic)) => drop(to.publish_json(topic, &[1, 2])?),
            Some((topic, text)) => drop(topics.publish(topic, text)?),
            None => drop(to.publish("binary", text.as_bytes())?),
        }
        Ok(())
    }
}

fn connect<'h>(host: &'h Host, topic: &str) -> Client<'h> {
    let request = Request::new().query(topic).user("me");
    host.connect(request).expect("it is accepted")
}

fn texts(texts: &[&str]) -> Vec<Received> {
    texts
        .iter()
        .map(|text| Received::Text((*text).into()))
        .collect()
}

#[test]
fn subscribers_in_all_processes_get_what_is_published() {
    let here = Host::load::<Room>();
    let there = here.another_process::<Room>(&[]).unwrap();
    let elsewhere = Host::load::<Room>();
    let [mut ann, bob, eve] = [
        connect(&here, "room"),
        connect(&there, "*"),
        connect(&elsewhere, "room"),
    ];
    ann.send("room hello");
    ann.send("other not to ann");
    assert_eq!(ann.received(), texts(&["hello"]));
    assert_eq!(bob.received(), texts(&["hello", "not to ann"]));
    assert_eq!(eve.received(), []);
    assert_eq!(here.topics().count("room"), Ok(1));
    ann.send("unsub room");
    ann.send("room late");
    assert_eq!(ann.received(), []);
    bob.disconnect();
    assert_eq!(here.topics().count("*"), Err(TopicError::Invalid));
    assert_eq!(here.topics().count("room"), Ok(0));
}

#[test]
fn an_envelope_has_topic_position_and_data() {
    let host = Host::load::<Room>();
    host.keep_history("room", 5);
    let mut client = connect(&host, "nothing");
    for command in ["envelope **", "room \"hi\"", "json room", "x"] {
        client.send(command);
    }
    let first =
        r#"{"type":"message","topic":"room","position":"0000000000000001-1","data":"\"hi\""}"#;
    let second =
        r#"{"type":"message","topic":"room","position":"0000000000000001-2","data":[1,2]}"#;
    let third = r#"{"type":"message","topic":"binary","base64":"eA=="}"#;
    assert_eq!(client.received(), texts(&[first, second, third]));
}

#[test]
fn a_client_gets_what_it_has_missed_or_is_told_of_a_gap() {
    struct Resumes;

    #[websocket_plugin]
    impl Plugin for Resumes {
        fn configure(_: &websocket_plugin::Options) -> Result<Self, String> {
            Ok(Self)
        }

        fn on_connect(&self, _: &mut Handshake<'_>) -> Result<(), Rejection> {
            Ok(())
        }

        fn on_message(&self, _: &mut (), to: &Sender, m: Message<'_>) -> Result<(), Close> {
            let since: Position = m.as_text().unwrap_or_default().parse()?;
            let subscribed = to.subscribe(Subscription::to("room").since(since))?;
            let recovery = match subscribed.recovery {
                Recovery::Complete(count) => format!("{count}"),
                other => format!("{other:?}"),
            };
            Ok(to.send(&recovery)?)
        }
    }

    let host = Host::load::<Resumes>();
    host.keep_history("room", 2);
    let topics = host.topics();
    let positions: Vec<_> = (1..=4)
        .map(|n| {
            topics
                .publish("room", format!("{n}"))
                .unwrap()
                .position
                .unwrap()
        })
        .collect();
    let mut client = host.connect(Request::new()).unwrap();
    for (since, expected) in [
        (positions[3], &["0"][..]),
        (positions[2], &["4", "1"]),
        (positions[1], &["3", "4", "2"]),
        (positions[0], &["Gap"]),
    ] {
        client.send(since.to_string());
        assert_eq!(client.received(), texts(expected), "{since}");
    }
    let mut kept = Vec::new();
    topics
        .history("room", None, 9, |message| {
            kept.push(message.message.as_text().unwrap().to_owned());
        })
        .unwrap();
    assert_eq!(kept, ["3", "4"]);
}

#[test]
fn members_are_shown_with_user_and_info() {
    let host = Host::load::<Room>();
    let _client = connect(&host, "room");
    let members = host.topics().presence("room").unwrap();
    assert_eq!(members.len(), 1);
    let texts = (members[0].user.as_deref(), members[0].info.as_deref());
    assert_eq!(texts, (Some("me"), Some("guest")));
}

#[test]
fn what_is_no_topic_refuses_the_client_and_closes_the_connection() {
    let host = Host::load::<Room>();
    assert_eq!(host.connect(Request::new().query("/room")).err(), Some(500));
    let mut client = connect(&host, "room");
    client.send("ro*m hello");
    assert!(matches!(&client.received()[..], [Received::Close(..)]));
    assert!(host.log()[1].text.contains("not the name of a topic"));
}

#[test]
fn the_c_module_has_no_topics() {
    let host = Host::c_module::<Room>().unwrap();
    assert_eq!(host.connect(Request::new()).err(), Some(403));
    assert_eq!(
        TopicError::Unsupported.to_string(),
        "the module that has loaded this plugin has no topics"
    );
}
