use super::Ticker;
use websocket_plugin::testing::{Client, Host, Received, Request};

const INTERVAL: &[(&str, &str)] = &[("interval", "5")];

fn tick(client: &Client<'_>) -> u64 {
    match client.receive() {
        Received::Text(seconds) => seconds.replace('.', "").parse().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn clients_of_all_processes_get_the_same_ticks_each_once() {
    let here = Host::configure::<Ticker>(INTERVAL).unwrap();
    let there = here.another_process::<Ticker>(INTERVAL).unwrap();
    let clients = [&here, &here, &there].map(|host| host.connect(Request::new()).unwrap());
    for client in &clients {
        let mut last = tick(client);
        for _ in 0..20 {
            let next = tick(client);
            assert!(next > last && next.is_multiple_of(5), "{next} after {last}");
            last = next;
        }
    }
    let [leaving, staying, _] = clients;
    leaving.disconnect();
    let before = tick(&staying);
    assert!(tick(&staying) > before);
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
