//! Who is on a topic.

use super::{TopicServer, ask, open_host, subscribe};
use serde_json::{Value, json};
use websocket_plugin::testing::{Client, Host, Request};

fn presence(client: &mut Client<'_>, topic: &str) -> Value {
    let request = json!({"type": "presence", "id": 4, "topic": topic});
    ask(client, &request).pop().unwrap()
}

#[test]
fn a_client_gets_the_members_of_all_processes_or_only_their_number() {
    let here = open_host();
    let there = here
        .another_process::<TopicServer>(&[("subscribe", "a")])
        .unwrap();
    let mut alice = here.connect(Request::new().user("alice")).unwrap();
    let mut guest = there.connect(Request::new()).unwrap();
    for client in [&mut alice, &mut guest] {
        subscribe(client, "a");
    }
    let mut asker = here.connect(Request::new()).unwrap();
    let mut answer = presence(&mut asker, "a");
    let members = answer["members"].take();
    let expected = json!({"type": "members", "id": 4, "topic": "a", "count": 2, "members": null});
    assert_eq!(answer, expected);
    let [first, second] = &members.as_array().unwrap()[..] else {
        panic!("{members}");
    };
    assert_eq!(first["user"], "alice");
    assert_eq!(
        second.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["id"]
    );
    let is_hexadecimal = |id: &str| u64::from_str_radix(id, 16).is_ok();
    assert!(is_hexadecimal(second["id"].as_str().unwrap()), "{second}");
    let request = json!({"type": "presence", "id": 5, "topic": "a", "list": false});
    let expected = json!({"type": "members", "id": 5, "topic": "a", "count": 2});
    assert_eq!(ask(&mut asker, &request), [expected]);
}

#[test]
fn only_who_may_subscribe_may_ask_who_is_there() {
    let options = &[("subscribe", "a"), ("publish", "b")];
    let host = Host::configure::<TopicServer>(options).unwrap();
    let mut client = host.connect(Request::new()).unwrap();
    assert_eq!(presence(&mut client, "a")["count"], 0);
    assert_eq!(presence(&mut client, "b")["code"], "forbidden");
}

#[test]
fn a_list_of_members_has_a_thousand_at_most_and_the_number_is_of_all() {
    let host = open_host();
    let crowd = (0..1001).map(|_| host.connect(Request::new()).unwrap());
    let mut crowd: Vec<_> = crowd.collect();
    for client in &mut crowd {
        subscribe(client, "a");
    }
    let answer = presence(&mut crowd[0], "a");
    assert_eq!(answer["count"], 1001);
    assert_eq!(answer["members"].as_array().unwrap().len(), 1000);
}
