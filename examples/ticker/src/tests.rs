use super::Ticker;
use std::time::Duration;
use websocket_plugin::testing::{Host, Received, Request};

#[test]
fn clients_of_all_processes_get_each_tick_once() {
    let interval = &[("interval", "250")];
    let here = Host::configure::<Ticker>(interval).unwrap();
    let there = here.another_process::<Ticker>(interval).unwrap();
    let clients = [&here, &here, &there].map(|host| host.connect(Request::new()).unwrap());
    for host in [&here, &there] {
        host.advance(Duration::from_millis(749));
    }
    for client in &clients {
        let ticks = ["0.250", "0.500"].map(|seconds| Received::Text(seconds.into()));
        assert_eq!(client.received(), ticks);
    }
    let [leaving, staying, _] = clients;
    leaving.disconnect();
    here.advance(Duration::from_millis(1));
    assert_eq!(staying.received(), [Received::Text("0.750".into())]);
}

#[test]
fn tickers_with_different_intervals_do_not_mix() {
    let fast = Host::configure::<Ticker>(&[("interval", "100")]).unwrap();
    let slow = fast.another_process::<Ticker>(&[]).unwrap();
    let client = slow.connect(Request::new()).unwrap();
    fast.advance(Duration::from_secs(2));
    assert!(client.received().is_empty());
}

#[test]
fn the_interval_is_a_positive_number() {
    for interval in ["0", "-1", "soon"] {
        let error = Host::configure::<Ticker>(&[("interval", interval)])
            .err()
            .unwrap();
        assert!(
            error.starts_with(&format!("option `interval`: `{interval}`: ")),
            "{error}"
        );
    }
}
