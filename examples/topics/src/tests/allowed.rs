//! Who may do what.

use super::{TopicServer, publish, subscribe};
use crate::allowed::{Allowed, User};
use websocket_plugin::testing::{Host, Request};

fn covers(patterns: &str, wanted: &str, user: Option<&str>) -> bool {
    let allowed = Allowed::parse("subscribe", patterns).unwrap();
    allowed.covers(wanted, &User::new(user)).unwrap_or_default()
}

#[test]
fn clients_may_do_nothing_by_default() {
    for options in [&[][..], &[("subscribe", ""), ("publish", "  ")]] {
        let host = Host::configure::<TopicServer>(options).unwrap();
        let mut client = host.connect(Request::new().user("alice")).unwrap();
        for topic in ["a", "*", "**", "alice"] {
            assert_eq!(subscribe(&mut client, topic)["code"], "forbidden");
        }
        assert_eq!(publish(&mut client, "a", "x")["code"], "forbidden");
    }
}

#[test]
fn to_subscribe_and_to_publish_are_allowed_apart() {
    let options = &[("subscribe", "news/*"), ("publish", "chat/* log")];
    let host = Host::configure::<TopicServer>(options).unwrap();
    let mut client = host.connect(Request::new()).unwrap();
    for (topic, may_subscribe, may_publish) in [
        ("news/a", true, false),
        ("chat/a", false, true),
        ("log", false, true),
        ("log/a", false, false),
    ] {
        let expected = |may| if may { "null" } else { "\"forbidden\"" };
        let code = |answer: serde_json::Value| answer["code"].to_string();
        assert_eq!(code(subscribe(&mut client, topic)), expected(may_subscribe));
        assert_eq!(code(publish(&mut client, topic, 1)), expected(may_publish));
    }
}

#[test]
fn a_pattern_is_allowed_only_if_one_of_the_administrators_covers_all_of_it() {
    for (patterns, yes, no) in [
        (
            "news/*",
            &["news/a", "news/*", "news/\u{fc} b"][..],
            &[
                "news", "news/a/b", "news/**", "news/a/*", "*", "**", "newsx/a", "new/*",
            ][..],
        ),
        (
            "news/**",
            &[
                "news/a",
                "news/a/b",
                "news/*",
                "news/**",
                "news/a/*",
                "news/a/b/**",
            ],
            &["news", "*", "**", "newsx/*", "newsx/**", "a/news/b"],
        ),
        ("*", &["a", "*"], &["a/b", "**", "a/*"]),
        ("**", &["a", "a/b", "*", "**", "a/*", "a/b/**"], &[]),
        ("a", &["a"], &["a/b", "*", "**", "a/*", "b", "A"]),
        // Together these cover more than each of them, but not all that `**` describes.
        (
            "* a/*  a/b/**",
            &["x", "a/x", "a/b/c/d", "a/b/*"],
            &["**", "a/**", "x/y"],
        ),
        (
            "chat/lobby chat/games",
            &["chat/lobby", "chat/games"],
            &["chat/*", "chat/lobb"],
        ),
    ] {
        for wanted in yes {
            assert!(covers(patterns, wanted, None), "{patterns}: {wanted}");
        }
        for wanted in no {
            assert!(!covers(patterns, wanted, None), "{patterns}: {wanted}");
        }
    }
}

#[test]
fn what_is_no_topic_is_covered_by_nothing() {
    let allowed = Allowed::parse("subscribe", "** * a/*").unwrap();
    for wanted in [
        "", "/", "/a", "a/", "a//b", "a/../", "a*", "*/a", "**/a", "a/*/b", "a/***", "a\0b", "a\n",
    ] {
        let answer = allowed.covers(wanted, &User::new(None));
        assert!(answer.is_err(), "{wanted:?}: {answer:?}");
    }
}

#[test]
fn user_stands_for_the_authenticated_user() {
    const PATTERNS: &str = "inbox/{user} files/{user}/** {user}/*";
    for (wanted, may) in [
        ("inbox/alice", true),
        ("files/alice/a/b", true),
        ("files/alice/*", true),
        ("files/alice/**", true),
        ("alice/x", true),
        ("inbox/bob", false),
        ("inbox/Alice", false),
        ("inbox/alice2", false),
        ("inbox/{user}", false),
        ("inbox/*", false),
        ("files/*", false),
        ("files/**", false),
        ("files/alice", false),
        ("*", false),
        ("**", false),
    ] {
        assert_eq!(covers(PATTERNS, wanted, Some("alice")), may, "{wanted}");
        assert!(!covers(PATTERNS, wanted, None), "{wanted}");
    }
    assert!(covers(
        "inbox/{user}",
        "inbox/J\u{fc}rgen P. {x}",
        Some("J\u{fc}rgen P. {x}")
    ));
    assert!(covers("{user}/{user}", "a/a", Some("a")));
}

#[test]
fn a_users_name_cannot_change_a_pattern() {
    let wanted = [
        "inbox",
        "inbox/a",
        "inbox/a/b",
        "inbox/*",
        "inbox/**",
        "a/b",
        "a/*",
        "*",
        "**",
        "box/x",
        "inbox/{user}",
        "box/*",
        "inbox/bob",
        "x/inbox/y",
    ];
    let long = "x".repeat(250);
    for user in [
        "", "*", "**", "a/b", "/", "a/*", "a/**", "../a", "a*", "a\n", "\u{7f}", &long,
    ] {
        for pattern in ["inbox/{user}", "{user}", "{user}/**", "inbox/{user}/*"] {
            let long_name = format!("inbox/{long}");
            for wanted in wanted.iter().chain([&user, &&*long_name]) {
                let may = covers(pattern, wanted, Some(user));
                let is_own = user == long && pattern == "{user}" && *wanted == user;
                assert_eq!(may, is_own, "{user:?} {pattern} {wanted}");
            }
        }
    }
    // A name is not read again as a pattern, nor as a place for a name.
    assert!(covers("inbox/{user}", "inbox/{user}", Some("{user}")));
    assert!(!covers("{user}/{user}", "{user}/a", Some("{user}")));
    // It gives no right beside those of the user.
    assert!(covers("news/* {user}", "news/a", Some("*")));
    assert!(!covers("news/* {user}", "news", Some("*")));
}

#[test]
fn a_bad_option_is_an_error_that_says_what_is_allowed() {
    for (options, error) in [
        (
            ("subscribe", "a/* /b"),
            "option `subscribe`: `/b`: a topic is a list of segments",
        ),
        (
            ("publish", "a*"),
            "option `publish`: `a*`: a star may only be the last segment",
        ),
        (
            ("publish", "**/a"),
            "option `publish`: `**/a`: a star may only be",
        ),
        (
            ("subscribe", "inbox/{User}"),
            "option `subscribe`: `inbox/{User}`: braces are only for {user}",
        ),
        (
            ("subscribe", "x-{user}"),
            "option `subscribe`: `x-{user}`: braces are only for",
        ),
        (
            ("subscribe", "a/{}"),
            "option `subscribe`: `a/{}`: braces are only for",
        ),
        (
            ("suscribe", "a"),
            "unknown option `suscribe`: this plugin knows `subscribe`, `publish`",
        ),
    ] {
        let actual = Host::configure::<TopicServer>(&[options]).err().unwrap();
        assert!(actual.starts_with(error), "{actual}");
    }
}
