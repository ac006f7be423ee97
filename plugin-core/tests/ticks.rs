//! Ticks of plugins, under the test host.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;
use websocket_plugin::testing::{Host, Received, Request, unattached_log};
use websocket_plugin::{
    BoxError, Close, Handshake, Message, OptionError, Options, Plugin, Rejection, Sender, Tick,
    Ticks, websocket_plugin,
};

/// Publishes its ticks to the topic that an option names: ticks go to all hosts of the test's
/// process. The option `interval` is in milliseconds.
struct Clock {
    interval: Option<u64>,
    is_everywhere: bool,
    topic: String,
    ticks: AtomicU32,
}

#[websocket_plugin]
impl Plugin for Clock {
    fn configure(options: &Options) -> Result<Self, OptionError> {
        Ok(Self {
            interval: options.parse("interval")?,
            is_everywhere: options.get("everywhere").is_some(),
            topic: options.get("topic").unwrap_or("none").into(),
            ticks: AtomicU32::new(0),
        })
    }

    fn ticks(&self) -> Option<Ticks> {
        let interval = Duration::from_millis(self.interval?);
        Some(if self.is_everywhere {
            Ticks::in_every_process(interval)
        } else {
            Ticks::in_one_process(interval)
        })
    }

    fn on_tick(&self, tick: &Tick) -> Result<(), BoxError> {
        let number = self.ticks.fetch_add(1, SeqCst);
        let text = format!("{number} {}", tick.since_1970().as_millis());
        tick.topics.publish(&self.topic, text)?;
        Ok(())
    }

    fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
        handshake.subscribe(self.topic.as_str())?;
        Ok(())
    }

    fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(())
    }
}

fn texts(received: Vec<Received>) -> Vec<String> {
    let text = |received| match received {
        Received::Text(text) => text,
        other => panic!("{other:?}"),
    };
    received.into_iter().map(text).collect()
}

#[test]
fn the_clock_of_the_host_makes_ticks_at_multiples_of_the_interval() {
    let host = Host::configure::<Clock>(&[("interval", "250"), ("topic", "one")]).unwrap();
    let client = host.connect(Request::new()).unwrap();
    for (milliseconds, ticks) in [
        (249, &[][..]),
        (1, &["0 250"]),
        (600, &["1 500", "2 750"]),
        (0, &[]),
    ] {
        host.advance(Duration::from_millis(milliseconds));
        assert_eq!(texts(client.received()), ticks, "{milliseconds}");
    }
}

#[test]
fn ticks_for_one_process_are_those_of_the_first_host() {
    for (options, ticks) in [
        (
            &[("interval", "100"), ("topic", "first")][..],
            &["0 100"][..],
        ),
        (
            &[
                ("interval", "100"),
                ("topic", "everywhere"),
                ("everywhere", "yes"),
            ],
            &["0 100", "0 100"],
        ),
    ] {
        let here = Host::configure::<Clock>(options).unwrap();
        let there = here.another_process::<Clock>(options).unwrap();
        let client = there.connect(Request::new()).unwrap();
        for host in [&here, &there] {
            host.advance(Duration::from_millis(100));
        }
        assert_eq!(texts(client.received()), ticks);
    }
}

#[test]
fn a_plugin_without_ticks_gets_none() {
    let host = Host::load::<Clock>();
    let client = host.connect(Request::new()).unwrap();
    host.advance(Duration::from_secs(3600));
    assert!(client.received().is_empty());
}

#[derive(Default)]
struct Fragile;

static CALLS: AtomicU32 = AtomicU32::new(0);

#[websocket_plugin]
impl Plugin for Fragile {
    fn ticks(&self) -> Option<Ticks> {
        Some(Ticks::in_every_process(Duration::ZERO))
    }

    fn on_tick(&self, _: &Tick) -> Result<(), BoxError> {
        match CALLS.fetch_add(1, SeqCst) {
            0 | 1 => panic!("too early"),
            2 => Ok(()),
            _ => Err("too late".into()),
        }
    }

    fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(())
    }
}

#[test]
fn failures_are_logged_once_in_a_row_and_the_next_tick_comes() {
    let host = Host::load::<Fragile>();
    host.advance(Duration::from_millis(6));
    assert_eq!(
        CALLS.load(SeqCst),
        6,
        "the shortest interval is a millisecond"
    );
    let log = unattached_log();
    let lines: Vec<_> = log
        .iter()
        .map(|line| line.text.as_str())
        .filter(|text| text.starts_with("[Fragile] on_tick"))
        .collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("panicked at ") && lines[0].ends_with("too early"));
    assert_eq!(lines[1], "[Fragile] on_tick: too late");
}

/// Its ticks fail if an option says so.
#[derive(Default)]
struct Moody {
    fails: Option<String>,
}

#[websocket_plugin]
impl Plugin for Moody {
    fn configure(options: &Options) -> Result<Self, OptionError> {
        let fails = options.get("fails").map(str::to_owned);
        Ok(Self { fails })
    }

    fn ticks(&self) -> Option<Ticks> {
        Some(Ticks::in_every_process(Duration::from_secs(1)))
    }

    fn on_tick(&self, _: &Tick) -> Result<(), BoxError> {
        match &self.fails {
            Some(why) => Err(why.as_str().into()),
            None => Ok(()),
        }
    }

    fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(())
    }
}

#[test]
fn failures_of_each_instance_are_logged_once() {
    let lines = || {
        let log = unattached_log().into_iter().map(|line| line.text);
        log.filter(|text| text.starts_with("[Moody] on_tick"))
            .collect::<Vec<_>>()
    };
    let [one, good, other] = [&[("fails", "one")][..], &[], &[("fails", "other")]]
        .map(|options| Host::configure::<Moody>(options).unwrap());
    for _ in 0..3 {
        for host in [&one, &good, &other] {
            host.advance(Duration::from_secs(1));
        }
    }
    let expected = ["[Moody] on_tick: one", "[Moody] on_tick: other"];
    assert_eq!(lines(), expected);
    // A new instance is logged anew, also if it has the place of one that failed.
    drop((one, other));
    let again = Host::configure::<Moody>(&[("fails", "again")]).unwrap();
    again.advance(Duration::from_secs(2));
    assert_eq!(lines()[2..], ["[Moody] on_tick: again"]);
}
