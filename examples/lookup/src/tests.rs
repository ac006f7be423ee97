//! Asks a real Redis. Where none is installed, the tests say that they were skipped.

use super::Lookup;
use anyhow::{Result, ensure};
use redis::{Client, Commands};
use websocket_plugin::CloseCode;
use websocket_plugin::testing::{Host, Received, Request};
use xtask::broker::{Broker, Kind};

/// A Redis with a value.
fn redis() -> Result<Option<Broker>> {
    let Some(broker) = Broker::start(Kind::Redis, &[])? else {
        eprintln!("skipped: no {}", Kind::Redis.program());
        return Ok(None);
    };
    let mut connection = Client::open(broker.address())?.get_connection()?;
    let () = connection.set("colour", "blue")?;
    Ok(Some(broker))
}

fn host(broker: &Broker) -> Result<Host> {
    let made = Host::configure::<Lookup>(&[("redis", &broker.address())]);
    made.map_err(anyhow::Error::msg)
}

fn text(text: &str) -> Received {
    Received::Text(text.into())
}

#[test]
fn keys_are_answered_with_their_values() -> Result<()> {
    let Some(broker) = redis()? else {
        return Ok(());
    };
    let host = host(&broker)?;
    let mut clients = [(); 3].map(|()| host.connect(Request::new()).unwrap());
    for client in &mut clients {
        client.send("colour");
        client.send("size");
    }
    for client in &clients {
        ensure!(client.receive() == text("blue"));
        ensure!(client.receive() == text("(none)"));
    }
    clients[0].send(b"colour");
    let refused = Received::Close(CloseCode::UNSUPPORTED_DATA, "keys are texts".into());
    ensure!(clients[0].receive() == refused);
    Ok(())
}

#[test]
fn without_a_redis_the_connection_closes_and_the_log_tells_why() -> Result<()> {
    let Some(mut broker) = redis()? else {
        return Ok(());
    };
    let host = host(&broker)?;
    broker.kill()?;
    let mut client = host.connect(Request::new()).unwrap();
    client.send("colour");
    ensure!(client.receive() == Received::Close(CloseCode::INTERNAL_ERROR, String::new()));
    let log = host.log();
    let tells = |line: &str| line.starts_with("[Lookup] on_message: ");
    ensure!(log.iter().any(|line| tells(&line.text)), "{log:?}");
    Ok(())
}

#[test]
fn options_are_checked() {
    let configure = |name, value| Host::configure::<Lookup>(&[(name, value)]).err();
    assert!(configure("redis", "nonsense").is_some());
    assert!(configure("rediss", "redis://127.0.0.1").is_some());
    assert!(configure("redis", "redis://127.0.0.1:1").is_none());
}
