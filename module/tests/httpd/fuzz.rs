//! Random bytes: the server survives everything that a client sends.

use std::time::Duration;

use anyhow::Result;

use crate::support::frame::masked;
use crate::support::random::Random;
use crate::support::{Client, Context, Handshake, cases};

cases! {
    "random bytes after the handshake are survived" => after_handshake,
    "random frames are survived" => frames,
    "random handshakes are survived" => handshakes,
}

const ROUNDS: u64 = 150;

/// Sends bytes, shuts down the sending side, and waits for the end.
fn throw(mut client: Client, bytes: &[u8]) -> Result<()> {
    // The server may end the connection while the client sends.
    if client
        .send(bytes)
        .and_then(|()| client.half_close())
        .is_ok()
    {
        client.drain()?;
    }
    Ok(())
}

fn still_serves(context: &Context) -> Result<()> {
    let mut client = context.open("/echo")?;
    client
        .stream
        .set_read_timeout(Some(Duration::from_secs(10)))?;
    client.echo("still here")?;
    client.close()
}

fn after_handshake(context: &Context) -> Result<()> {
    for seed in 1..=ROUNDS {
        let mut random = Random::of(seed);
        let length = random.below(3000);
        let bytes = random.bytes(length);
        throw(context.open("/echo")?, &bytes)?;
    }
    still_serves(context)
}

fn frames(context: &Context) -> Result<()> {
    for seed in 1..=ROUNDS {
        let mut random = Random::of(seed.wrapping_mul(0xd134_2543_de82_ef95));
        let mut bytes = Vec::new();
        for _ in 0..random.below(12) {
            let length = random.below(400);
            // Mostly known opcodes without reserved bits.
            let first_byte = match random.below(8) {
                0 => random.byte(),
                _ => [0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x89, 0x8a][random.below(8)],
            };
            let payload = match random.below(2) {
                0 => random.bytes(length),
                _ => vec![b'x'; length],
            };
            bytes.extend(masked(first_byte, payload));
        }
        throw(context.open("/journal")?, &bytes)?;
    }
    still_serves(context)
}

fn handshakes(context: &Context) -> Result<()> {
    let right = Handshake::to("/echo")
        .and("Sec-WebSocket-Protocol", "a, b")
        .to_bytes();
    for seed in 1..=ROUNDS {
        let mut random = Random::of(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let mut bytes = right.clone();
        for _ in 0..=random.below(4) {
            let at = random.below(right.len() as u64);
            bytes[at] = random.byte();
        }
        throw(Client::connect(context.address()?)?, &bytes)?;
    }
    still_serves(context)
}
