//! Clients of a soak that check what comes back.

use anyhow::{Context as _, Result, bail, ensure};
use rustix::net::sockopt::set_socket_recv_buffer_size;

use super::stage::{Stage, count};
use crate::deflate::{Deflated, text};
use crate::support::frame::masked;
use crate::support::http2::Http2;
use crate::support::random::Random;
use crate::support::wire::{AnyClient, Wire, alone, any};
use crate::support::{Client, Frame, Handshake, Opcode};

/// How a client reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Plain,
    Tls,
    Http2,
    Http2OverTls,
}

/// A client, with or without compression.
pub(super) enum Talker {
    Plain(AnyClient),
    Deflated(Box<Deflated<Box<dyn Wire>>>),
}

/// A message, and its opcode with FIN.
pub(super) struct Message {
    opcode: u8,
    pub(super) payload: Vec<u8>,
}

/// The pings between fragments of a message.
const BETWEEN: &str = "in between";

/// What a client offers if it compresses. Over HTTP/2 without context, because the client for that
/// does not look at the answer.
const OFFER: &str = "permessage-deflate";
const OFFER_OVER_HTTP2: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// The most bytes of echoes that wait while a client sends on. Over HTTP/2 there is a window of
/// 64 KiB, and mod_http2 may take nothing more from a client that takes nothing.
const MOST_WAITING: usize = 40_000;

/// The lengths of messages: those around the borders of headers, of buffers and of the threshold of
/// compression.
const LENGTHS: [usize; 14] = [
    0, 1, 5, 32, 125, 126, 255, 256, 2000, 9000, 16_384, 65_535, 65_536, 100_000,
];

impl Way {
    /// One of those that the server under test supports.
    pub(super) fn any(stage: &Stage<'_>, random: &mut Random) -> Result<Self> {
        let ways = [Self::Plain, Self::Tls, Self::Http2, Self::Http2OverTls];
        let count = if stage.context.serves_http2()? { 4 } else { 2 };
        Ok(ways[random.below(count)])
    }
}

impl Message {
    pub(super) fn any(random: &mut Random) -> Self {
        let length = LENGTHS[random.below(LENGTHS.len() as u64)];
        if random.below(2) == 0 {
            let number = u32::try_from(random.below(1000)).expect("small");
            let payload = text(number, length).into_bytes();
            return Self {
                opcode: Opcode::TEXT,
                payload,
            };
        }
        Self::binary(random.bytes(length))
    }

    pub(super) fn binary(payload: Vec<u8>) -> Self {
        let opcode = Opcode::BINARY;
        Self { opcode, payload }
    }

    /// Checks that `received` is this message.
    pub(super) fn compare(&self, received: &[u8]) -> Result<()> {
        if received == self.payload {
            return Ok(());
        }
        let pairs = received.iter().zip(&self.payload);
        let same = pairs.take_while(|(left, right)| left == right).count();
        bail!(
            "a wrong message: {} bytes instead of {}, the first {same} of them are right",
            received.len(),
            self.payload.len()
        );
    }
}

impl Talker {
    /// Opens a WebSocket that is compressed if `target` is, and `compresses`.
    pub(super) fn open(
        stage: &Stage<'_>,
        way: Way,
        target: &str,
        compresses: bool,
    ) -> Result<Self> {
        let plain = Handshake::to(target);
        let offer = |offer: &str| plain.clone().and("Sec-WebSocket-Extensions", offer);
        let client = match way {
            Way::Plain => any(Client::connect(stage.httpd.address())?),
            Way::Tls => any(Client::connect_tls(stage.httpd)?),
            Way::Http2 | Way::Http2OverTls => {
                let handshake = if compresses {
                    offer(OFFER_OVER_HTTP2)
                } else {
                    plain
                };
                let client = open_http2(stage, way, &handshake)?;
                return Ok(if compresses {
                    Self::Deflated(Box::new(Deflated::without_context(client)))
                } else {
                    Self::Plain(client)
                });
            }
        };
        if compresses {
            let deflated = Deflated::over(client, &offer(OFFER))?;
            return Ok(Self::Deflated(Box::new(deflated)));
        }
        let mut client = client;
        client.upgrade(&plain)?;
        Ok(Self::Plain(client))
    }

    /// Opens a WebSocket whose client takes little at a time.
    pub(super) fn open_small(stage: &Stage<'_>, way: Way, target: &str) -> Result<Self> {
        const SIZE: usize = 16 * 1024;
        let handshake = Handshake::to(target);
        let client = match way {
            Way::Tls => {
                let mut client = Client::connect_tls(stage.httpd)?;
                set_socket_recv_buffer_size(&client.stream.sock, SIZE)?;
                client.upgrade(&handshake)?;
                any(client)
            }
            _ => {
                let mut client = Client::connect_with_buffer(stage.httpd.address(), SIZE)?;
                client.upgrade(&handshake)?;
                any(client)
            }
        };
        Ok(Self::Plain(client))
    }

    pub(super) fn client(&mut self) -> &mut AnyClient {
        match self {
            Self::Plain(client) => client,
            Self::Deflated(deflated) => &mut deflated.client,
        }
    }

    pub(super) fn send(&mut self, message: &Message) -> Result<()> {
        match self {
            Self::Plain(client) => client.send(masked(message.opcode, &message.payload)),
            Self::Deflated(deflated) => deflated.send(message.opcode, &message.payload),
        }
    }

    /// Sends a message in three pieces, with pings between them, unless it is compressed.
    fn send_in_pieces(&mut self, message: &Message, random: &mut Random) -> Result<()> {
        let Self::Plain(client) = self else {
            return self.send(message);
        };
        let length = message.payload.len();
        let mut cuts = [0; 2].map(|_| random.below(length as u64 + 1));
        cuts.sort_unstable();
        let ping = masked(Opcode::PING, BETWEEN);
        client.send(masked(message.opcode & 0x0f, &message.payload[..cuts[0]]))?;
        client.send(&ping)?;
        client.send(masked(Opcode::MIDDLE, &message.payload[cuts[0]..cuts[1]]))?;
        client.send(&ping)?;
        client.send(masked(Opcode::LAST, &message.payload[cuts[1]..]))
    }

    /// Takes the next message, which must be `expected`. Pings are answered.
    pub(super) fn expect(&mut self, expected: &Message) -> Result<()> {
        expected.compare(&self.receive_as(expected.opcode)?)
    }

    /// The payload of the next message, which must be binary. Pings are answered.
    pub(super) fn receive(&mut self) -> Result<Vec<u8>> {
        self.receive_as(Opcode::BINARY)
    }

    fn receive_as(&mut self, opcode: u8) -> Result<Vec<u8>> {
        let client = match self {
            Self::Deflated(deflated) => return deflated.receive_any(opcode),
            Self::Plain(client) => client,
        };
        loop {
            let frame = client.frame_behind_pings()?;
            if frame.first_byte != Opcode::PONG {
                ensure!(frame.first_byte == opcode, "{frame:?}");
                return Ok(frame.payload);
            }
            ensure!(frame.payload == BETWEEN.as_bytes(), "{frame:?}");
        }
    }

    /// Sends some messages and takes their echoes.
    pub(super) fn exchange(&mut self, stage: &Stage<'_>, random: &mut Random) -> Result<()> {
        let messages: Vec<_> = (0..=random.below(8))
            .map(|_| Message::any(random))
            .collect();
        let mut taken = 0;
        for (number, message) in messages.iter().enumerate() {
            let waiting = messages[taken..number].iter();
            if waiting.map(|message| message.payload.len()).sum::<usize>() > MOST_WAITING {
                self.take(stage, &messages, &mut taken, number)?;
            }
            let sent = if random.below(4) == 0 {
                self.send_in_pieces(message, random)
            } else {
                self.send(message)
            };
            sent.with_context(|| format!("message {number} of {}", messages.len()))?;
        }
        self.take(stage, &messages, &mut taken, messages.len())
    }

    /// Takes the echoes of the messages up to this number.
    fn take(
        &mut self,
        stage: &Stage<'_>,
        messages: &[Message],
        taken: &mut usize,
        end: usize,
    ) -> Result<()> {
        for message in &messages[*taken..end] {
            self.expect(message)
                .with_context(|| format!("echo {taken} of {}", messages.len()))?;
            *taken += 1;
            count(&stage.tally.messages);
        }
        Ok(())
    }

    pub(super) fn close(self) -> Result<()> {
        let answer = self.end()?;
        ensure!(answer == Frame::close(1000), "{answer:?}");
        Ok(())
    }

    /// Closes the connection and returns the server's close frame, which answers or crosses the
    /// client's.
    pub(super) fn end(self) -> Result<Frame> {
        let mut client = match self {
            Self::Plain(client) => client,
            Self::Deflated(deflated) => deflated.client,
        };
        client.send(masked(Opcode::CLOSE, 1000_u16.to_be_bytes()))?;
        // Pongs may come before its answer, and a ping, which nobody waits any more to be answered:
        // over HTTP/2 the stream may be at its end.
        let mut answer = client.frame()?;
        while [Opcode::PING, Opcode::PONG].contains(&answer.first_byte) {
            answer = client.frame()?;
        }
        client.expect_end()?;
        Ok(answer)
    }
}

/// Opens a WebSocket over a new HTTP/2 connection. On a graceful restart mod_http2 takes no new
/// streams on connections that are there already, however new they are: then on the next one.
fn open_http2(stage: &Stage<'_>, way: Way, handshake: &Handshake) -> Result<AnyClient> {
    const TRIES: usize = 3;
    let open = || {
        let connection = match way {
            Way::Http2 => Http2::connect(stage.httpd.address()),
            _ => Http2::connect_tls(stage.httpd),
        };
        alone(connection?, handshake)
    };
    let mut opened = open();
    for _ in 1..TRIES {
        if opened.is_ok() || !stage.restarts {
            break;
        }
        opened = open();
    }
    opened.with_context(|| format!("opening over {way:?}"))
}
