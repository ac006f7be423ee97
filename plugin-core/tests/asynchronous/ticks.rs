//! Ticks that wait.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;
use tokio::time::sleep;
use websocket_plugin::testing::{Host, Received, Request, unattached_log};
use websocket_plugin::{
    AsyncPlugin, BoxError, Close, Handshake, Message, Rejection, Sender, Tick, Ticks,
    websocket_plugin,
};

/// Publishes its ticks, each from a task that it waits for.
#[derive(Default)]
struct Clock {
    under_way: AtomicU32,
}

#[websocket_plugin(workers = 1)]
impl AsyncPlugin for Clock {
    fn ticks(&self) -> Option<Ticks> {
        Some(Ticks::in_every_process(Duration::from_millis(250)))
    }

    async fn on_tick(&self, tick: &Tick) -> Result<(), BoxError> {
        assert_eq!(self.under_way.fetch_add(1, SeqCst), 0);
        sleep(Duration::from_millis(1)).await;
        let tick = *tick;
        let publishing = tokio::spawn(async move {
            sleep(Duration::from_millis(1)).await;
            tick.topics
                .publish("async clock", tick.since_1970().as_millis().to_string())
        });
        publishing.await??;
        self.under_way.fetch_sub(1, SeqCst);
        Ok(())
    }

    async fn on_connect(&self, handshake: &mut Handshake<'_>) -> Result<(), Rejection> {
        handshake.subscribe("async clock")?;
        Ok(())
    }

    async fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(())
    }
}

#[test]
fn the_clock_of_the_host_waits_for_each_tick() {
    let host = Host::load::<Clock>();
    let client = host.connect(Request::new()).unwrap();
    for (milliseconds, ticks) in [
        (249, &[][..]),
        (1, &["250"]),
        (600, &["500", "750"]),
        (0, &[]),
    ] {
        host.advance(Duration::from_millis(milliseconds));
        let ticks: Vec<_> = ticks
            .iter()
            .map(|tick| Received::Text((*tick).into()))
            .collect();
        assert_eq!(client.received(), ticks, "{milliseconds}");
    }
}

#[test]
fn ticks_begin_without_a_client() {
    static TICKS: AtomicU32 = AtomicU32::new(0);

    #[derive(Default)]
    struct Lonely;

    #[websocket_plugin]
    impl AsyncPlugin for Lonely {
        fn ticks(&self) -> Option<Ticks> {
            Some(Ticks::in_one_process(Duration::from_secs(1)))
        }

        async fn on_tick(&self, _: &Tick) -> Result<(), BoxError> {
            sleep(Duration::from_millis(1)).await;
            TICKS.fetch_add(1, SeqCst);
            Ok(())
        }

        async fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
            Ok(())
        }
    }

    let host = Host::load::<Lonely>();
    host.advance(Duration::from_secs(3));
    assert_eq!(TICKS.load(SeqCst), 3);
}

#[derive(Default)]
struct Fragile {
    calls: AtomicU32,
}

#[websocket_plugin]
impl AsyncPlugin for Fragile {
    fn ticks(&self) -> Option<Ticks> {
        Some(Ticks::in_every_process(Duration::from_secs(1)))
    }

    async fn on_tick(&self, _: &Tick) -> Result<(), BoxError> {
        let call = self.calls.fetch_add(1, SeqCst);
        sleep(Duration::from_millis(1)).await;
        match call {
            0 | 1 => panic!("too early"),
            2 => Ok(()),
            _ => Err("too late".into()),
        }
    }

    async fn on_message(&self, _: &mut (), _: &Sender, _: Message<'_>) -> Result<(), Close> {
        Ok(())
    }
}

#[test]
fn failures_of_ticks_are_logged_once_in_a_row_and_the_next_tick_comes() {
    let host = Host::load::<Fragile>();
    host.advance(Duration::from_secs(6));
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
