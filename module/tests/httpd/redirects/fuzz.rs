//! Random sequences of requests, with and without redirects. No HTTP response may follow a 101.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::site::{Site, WAYS};
use super::talk;
use crate::support::random::Random;
use crate::support::{Client, Context, Frame, Handshake, cases};

cases! {
    "redirects: random sequences of requests are survived" => sequences,
}

/// The duration, under each MPM and driver.
const TIME: Duration = Duration::from_secs(5);

/// Targets besides those of [`WAYS`].
const OTHERS: [&str; 24] = [
    "/host",
    "/handler",
    "/page.txt",
    "/absent/room",
    "/absent/far/room",
    "/absent/socket",
    "/absent/round",
    "/members/room",
    "/members/far/room",
    "/forbidden/room",
    "/forbidden/far/room",
    "/forbidden/socket",
    "/rewritten/fails",
    "/rewritten/refused",
    "/rewritten/round",
    "/cgi/broken",
    "/included/page.shtml",
    "/index",
    "/detour/late",
    "/detour/again",
    "/detour/fails",
    "/detour/quick",
    "/detour/quick-fails",
    "/detour/begun",
];

fn request(random: &mut Random) -> Vec<u8> {
    let ways = WAYS.len() as u64;
    let target = match random.below(2) {
        0 => WAYS[random.below(ways)].1,
        _ => OTHERS[random.below(OTHERS.len() as u64)],
    };
    let mut handshake = Handshake::to(target);
    if random.below(3) == 0 {
        handshake = handshake.without("Upgrade");
    }
    let host = ["localhost", "members.example"][random.below(2)];
    handshake = handshake.header("Host", host);
    if random.below(8) == 0 {
        handshake = handshake.version(9);
    }
    if random.below(8) == 0 {
        handshake = handshake.header("X-Refuse", "1");
    }
    let method = ["GET", "GET", "GET", "GET", "GET", "HEAD", "POST", "PUT"][random.below(8)];
    handshake = handshake.request_line(&format!("{method} {target} HTTP/1.1"));
    match random.below(8) {
        0 => {
            let body = handshake.and("Content-Length", "5").to_bytes();
            [&body[..], b"hello"].concat()
        }
        1 => {
            let body = handshake.and("Transfer-Encoding", "chunked").to_bytes();
            [&body[..], b"5\r\nhello\r\n0\r\n\r\n"].concat()
        }
        2 => handshake.and("Expect", "100-continue").to_bytes(),
        _ => handshake.to_bytes(),
    }
}

/// Sends requests generated from a seed, then frames, and checks all output.
fn round(site: &Site, seed: u64) -> Result<()> {
    let mut random = Random::of(seed);
    let mut client = Client::connect(site.address())?;
    let requests = 1 + random.below(5);
    let is_pipelined = random.below(2) == 0;
    let mut sent = Vec::new();
    for _ in 0..requests {
        sent.push(request(&mut random));
    }
    sent.push(talk());
    let parts = if is_pipelined {
        vec![sent.concat()]
    } else {
        sent
    };
    for part in parts {
        // The server may end the connection while the client sends.
        if client.send(part).is_err() {
            break;
        }
    }
    let _ = client.half_close();
    match client.rest() {
        Ok(received) => check(&received),
        Err(error) if crate::support::client::is_reset(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Checks that only frames follow a 101 response.
fn check(received: &[u8]) -> Result<()> {
    let find = |text: &[u8], pattern: &[u8]| {
        let mut windows = text.windows(pattern.len());
        windows.position(|window| window == pattern)
    };
    let Some(start) = find(received, b"HTTP/1.1 101 ") else {
        return Ok(());
    };
    let head = &received[start..];
    let length = find(head, b"\r\n\r\n").context("the head of the 101 response has no end")?;
    let mut frames = &head[length + 4..];
    while !frames.is_empty() {
        let known = [0x81, 0x82, 0x88, 0x8A];
        match Frame::decode(frames) {
            Some((frame, length)) if known.contains(&frame.first_byte) => {
                ensure!(
                    frame.first_byte != 0x88 || length == frames.len(),
                    "behind the close frame: {:?}",
                    String::from_utf8_lossy(frames)
                );
                frames = &frames[length..];
            }
            _ => bail!("no frame: {:?}", String::from_utf8_lossy(frames)),
        }
    }
    Ok(())
}

fn sequences(context: &Context) -> Result<()> {
    let site = Site::start(context, "KeepAliveTimeout 1\nTimeout 5")?;
    let started = Instant::now();
    for seed in 1.. {
        round(&site, seed).with_context(|| format!("the sequence of seed {seed}"))?;
        if seed % 50 == 0 {
            let alive = site.expect_alive();
            alive.with_context(|| format!("after the seeds {} to {seed}", seed - 49))?;
        }
        if started.elapsed() > TIME {
            break;
        }
    }
    site.expect_alive()
}
