//! The macros of the `log` crate write to the host's log.
#![forbid(unsafe_code)]

use log::{Level, debug, error, info, trace, warn};
use std::thread;
use websocket_plugin::testing::{Host, Request, unattached_log};
use websocket_plugin::{Close, Message, Plugin, Sender, websocket_plugin};

#[derive(Default)]
struct Talkative;

#[websocket_plugin]
impl Plugin for Talkative {
    fn on_message(&self, _: &mut (), _: &Sender, message: Message<'_>) -> Result<(), Close> {
        if message.as_text() == Some("thread") {
            thread::spawn(|| warn!("from a thread")).join().unwrap();
            return Ok(());
        }
        error!("{}", 1);
        warn!("2");
        info!("3");
        debug!("4");
        trace!("5");
        Ok(())
    }
}

#[test]
fn lines_have_their_level_and_the_name_of_the_plugin() {
    let host = Host::load::<Talkative>();
    host.connect(Request::new()).unwrap().send("");
    let lines: Vec<_> = host
        .log()
        .into_iter()
        .map(|line| (line.level, line.text))
        .collect();
    let levels = [
        Level::Error,
        Level::Warn,
        Level::Info,
        Level::Debug,
        Level::Trace,
    ];
    let expected: Vec<_> = levels
        .into_iter()
        .zip(1..)
        .map(|(level, n)| (level, format!("[Talkative] {n}")))
        .collect();
    assert_eq!(lines, expected);
}

#[test]
fn lines_of_other_threads_belong_to_no_connection() {
    let host = Host::load::<Talkative>();
    host.connect(Request::new()).unwrap().send("thread");
    assert_eq!(host.log(), []);
    let is_it = |text: &str| text == "[Talkative] from a thread";
    assert!(unattached_log().iter().any(|line| is_it(&line.text)));
}

#[test]
fn under_the_c_module_lines_go_to_stderr() {
    let host = Host::c_module::<Talkative>().unwrap();
    host.connect(Request::new()).unwrap().send("");
    assert_eq!(host.log(), []);
}
