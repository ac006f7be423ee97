//! Many threads that send messages of all sizes at once: small ones, which are queued, and large
//! ones, which are written directly.

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::net::sockopt::set_socket_recv_buffer_size;

use crate::support::frame::masked;
use crate::support::journal::Journal;
use crate::support::{Client, Context, Frame, Handshake, Opcode, cases};

cases! {
    "messages of many threads arrive whole and in each thread's order" => fast,
    "messages of many threads arrive whole and in each thread's order at a slow client" => slow,
    "TLS: messages of many threads arrive whole and in each thread's order" => tls_fast,
    "TLS: messages of many threads arrive whole and in each thread's order at a slow client"
        => tls_slow,
    "messages accepted before close arrive and nothing follows the close frame" => closed,
    "TLS: messages accepted before close arrive and nothing follows the close frame" => tls_closed,
    "the server reads from a client while threads send it large messages" => echoes_meanwhile,
    "TLS: the server reads from a client while threads send it large messages"
        => tls_echoes_meanwhile,
    "a thread may send while it ends" => goodbye,
}

/// The size of the kernel's buffer for a client that reads slowly, in bytes.
const SMALL_BUFFER: usize = 16 * 1024;

/// The pauses of a slow client between messages, in rotation, in milliseconds.
const PAUSES: [u64; 7] = [0, 0, 40, 0, 0, 5, 0];

/// The number of messages received from each sender.
pub(crate) struct Received(Vec<u32>);

impl Received {
    pub(crate) fn from(senders: usize) -> Self {
        Self(vec![0; senders])
    }

    pub(crate) fn total(&self) -> u32 {
        self.0.iter().sum()
    }

    /// Checks the next message: it must be whole and its sender's next.
    pub(crate) fn take(&mut self, frame: &Frame) -> Result<()> {
        let word = |at: usize| {
            let bytes = frame.payload.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_le_bytes(bytes))
        };
        let (Some(sender), Some(number)) = (word(0), word(4)) else {
            anyhow::bail!("not a message of the swarm: {frame:?}");
        };
        ensure!(frame.first_byte == Opcode::BINARY, "{frame:?}");
        let next = self.0.get_mut(sender as usize);
        ensure!(
            next.as_deref() == Some(&number),
            "message {number} of sender {sender} instead of {next:?}"
        );
        let first = sender.wrapping_add(number).to_le_bytes()[0];
        let expected = (0..=u8::MAX).cycle().skip(usize::from(first) + 8);
        ensure!(
            frame.payload[8..]
                .iter()
                .copied()
                .eq(expected.take(frame.payload.len() - 8)),
            "message {number} of sender {sender}, {} bytes, is damaged",
            frame.payload.len()
        );
        *next.expect("just compared") += 1;
        Ok(())
    }
}

fn handshake() -> Handshake {
    Handshake::to("/swarm")
}

/// 5 senders with 40 messages each, far more than the queue has room for.
fn receive_all<S: Read + Write>(client: &mut Client<S>, pauses: &[u64]) -> Result<()> {
    const COUNT: u32 = 40;
    client.text(format!("4 {COUNT} {COUNT} 0"))?;
    let mut received = Received::from(5);
    for pause in pauses.iter().cycle() {
        if received.total() == 5 * COUNT {
            break;
        }
        thread::sleep(Duration::from_millis(*pause)); // a slow reader
        received.take(&client.frame_behind_pings()?)?;
    }
    client.echo("still there")
}

fn fast(context: &Context) -> Result<()> {
    let mut client = context.open_with(&handshake())?;
    receive_all(&mut client, &[0])?;
    client.close()
}

fn slow(context: &Context) -> Result<()> {
    let mut client = context.open_with(&handshake())?;
    set_socket_recv_buffer_size(&client.stream, SMALL_BUFFER)?;
    receive_all(&mut client, &PAUSES)?;
    client.close()
}

fn tls_fast(context: &Context) -> Result<()> {
    let mut client = Client::open_tls(&*context.httpd()?, &handshake())?;
    receive_all(&mut client, &[0])?;
    client.close()
}

fn tls_slow(context: &Context) -> Result<()> {
    let mut client = Client::open_tls(&*context.httpd()?, &handshake())?;
    set_socket_recv_buffer_size(&client.stream.sock, SMALL_BUFFER)?;
    receive_all(&mut client, &PAUSES)?;
    client.close()
}

fn receive_until_close<S: Read + Write>(client: &mut Client<S>, close_at: u32) -> Result<u32> {
    client.text(format!("6 1000 1000 {close_at}"))?;
    let mut received = Received::from(7);
    loop {
        let frame = client.frame_behind_pings()?;
        if frame.first_byte == Opcode::CLOSE {
            ensure!(frame.payload.is_empty(), "{frame:?}");
            break;
        }
        received.take(&frame)?;
    }
    ensure!(received.0[0] == close_at, "{:?} before close", received.0);
    client.send(masked(Opcode::CLOSE, ""))?;
    client.expect_end()?;
    Ok(received.total())
}

fn expect_accepted(journal: &Journal, received: u32) -> Result<()> {
    let accepted: u32 = journal.wait_for("accepted ")?.parse()?;
    ensure!(received == accepted, "{received} of {accepted} arrived");
    Ok(())
}

fn closed(context: &Context) -> Result<()> {
    for close_at in [1, 4, 6, 10, 13] {
        let journal = Journal::new(context)?;
        let mut client = context.open_with(&journal.handshake("/swarm"))?;
        let received = receive_until_close(&mut client, close_at)?;
        expect_accepted(&journal, received)?;
    }
    Ok(())
}

fn tls_closed(context: &Context) -> Result<()> {
    for close_at in [1, 4, 6, 10, 13] {
        let journal = Journal::new(context)?;
        let mut client = Client::open_tls(&*context.httpd()?, &journal.handshake("/swarm"))?;
        let received = receive_until_close(&mut client, close_at)?;
        expect_accepted(&journal, received)?;
    }
    Ok(())
}

/// Every echo must arrive although the queue is hardly ever empty.
fn echo_meanwhile<S: Read + Write>(client: &mut Client<S>) -> Result<()> {
    const COUNT: u32 = 20;
    client.text(format!("6 {COUNT} 0 0"))?;
    let mut received = Received::from(7);
    for number in 0..300 {
        let text = number.to_string();
        client.text(&text)?;
        loop {
            let frame = client.frame_behind_pings()?;
            if frame.first_byte == Opcode::TEXT {
                ensure!(frame.payload == text.as_bytes(), "{frame:?} for {text}");
                break;
            }
            received.take(&frame)?;
        }
    }
    while received.total() < 6 * COUNT {
        received.take(&client.frame_behind_pings()?)?;
    }
    Ok(())
}

fn echoes_meanwhile(context: &Context) -> Result<()> {
    let mut client = context.open_with(&handshake())?;
    echo_meanwhile(&mut client)?;
    client.close()
}

fn tls_echoes_meanwhile(context: &Context) -> Result<()> {
    let mut client = Client::open_tls(&*context.httpd()?, &handshake())?;
    echo_meanwhile(&mut client)?;
    client.close()
}

fn goodbye(context: &Context) -> Result<()> {
    let journal = Journal::new(context)?;
    let mut client = context.open_with(&journal.handshake("/goodbye"))?;
    client.text("go")?;
    client.expect_text("hello")?;
    client.expect_text("goodbye")?;
    ensure!(journal.wait_for("goodbye ")? == "7");
    client.close()
}
