//! Compresses messages on the thread that sends them (RFC 7692, section 7.2.1).
//!
//! Without context takeover, every thread has compressors for all connections. This needs no lock,
//! and an idle connection has no compressor. With context takeover, a connection has its own
//! compressor behind a lock. Messages must be queued in the order in which they were compressed,
//! because the client inflates them in that order. So the lock is held until the message is queued,
//! but never while waiting for room in the queue.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard};

use smallvec::SmallVec;

use crate::buffers::with_kept;
use crate::protocol::{DeflateContext, DeflateLevel, DeflateParameters, Deflater, Opcode};

/// The number of compressors that a thread keeps, one for each pair of level and window.
const MAX_KEPT: usize = 2;

/// A buffer for compressed messages with a larger capacity in bytes is freed after use.
const KEPT_CAPACITY: usize = 64 * 1024;

/// The compression settings of a section of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompressionPolicy {
    /// The effort.
    pub level: DeflateLevel,
    /// Shorter messages are sent uncompressed.
    pub threshold: u64,
    /// Whether connections share compressors.
    pub context: DeflateContext,
}

/// Compresses the messages of one connection.
pub struct Compression {
    threshold: u64,
    settings: Settings,
    /// With context takeover: the connection's own compressor, made at its first use.
    own: Option<Mutex<Option<Deflater>>>,
}

/// The properties that distinguish compressors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Settings {
    level: DeflateLevel,
    window_bits: u8,
}

impl Settings {
    fn make(self) -> Option<Deflater> {
        Deflater::new(self.level, self.window_bits)
    }
}

impl Compression {
    /// Compresses with the negotiated parameters.
    #[must_use]
    pub fn new(policy: CompressionPolicy, agreed: &DeflateParameters) -> Self {
        Self {
            threshold: policy.threshold,
            settings: Settings {
                level: policy.level,
                window_bits: agreed.server_window_bits(),
            },
            own: (!agreed.server_no_context_takeover).then(Mutex::default),
        }
    }

    /// Whether to compress such a frame. Control frames are never compressed (section 5).
    #[must_use]
    pub fn concerns(&self, opcode: Opcode, payload: &[u8]) -> bool {
        !opcode.is_control() && payload.len() as u64 >= self.threshold
    }

    /// Compresses a message and passes the result to `queue`, which returns whether it queued the
    /// message. `queue` gets `None` if the message does not get smaller, or if there is no memory
    /// for a compressor. It must then queue the message uncompressed.
    ///
    /// # Errors
    ///
    /// Those of `queue`.
    pub fn compress<E>(
        &self,
        message: &[u8],
        queue: impl FnOnce(Option<&[u8]>) -> Result<bool, E>,
    ) -> Result<bool, E> {
        Tools::with(|tools| {
            let Some(own) = &self.own else {
                let Some((deflater, buffer)) = tools.get(self.settings) else {
                    return queue(None);
                };
                deflater.forget();
                return queue(deflater.deflate(message, buffer));
            };
            let mut own = lock(own);
            if own.is_none() {
                *own = self.settings.make();
            }
            let Some(deflater) = &mut *own else {
                return queue(None);
            };
            let queued = queue(deflater.deflate(message, &mut tools.buffer));
            if !matches!(queued, Ok(true)) {
                // The client never sees this message, so later ones must not refer to it.
                deflater.forget();
            }
            queued
        })
    }
}

/// The compressor of one message that is sent piece by piece.
pub struct Pieces(Deflater);

impl Pieces {
    /// How many bytes at the end of a message are not sent.
    pub const TAIL_LEN: usize = Deflater::TAIL_LEN;

    /// See [`Deflater::deflate_more`].
    pub fn compress(&mut self, piece: &[u8], buffer: &mut Vec<u8>, flush: bool) -> Option<usize> {
        self.0.deflate_more(piece, buffer, flush)
    }

    /// See [`Deflater::strip_tail`].
    pub fn strip_tail(message: &mut Vec<u8>) {
        Deflater::strip_tail(message);
    }
}

impl Compression {
    /// A compressor for a message that is sent piece by piece. It refers to no earlier message, so
    /// it is right with and without context takeover. `None` if there is no memory for it.
    #[must_use]
    pub fn pieces(&self) -> Option<Pieces> {
        self.settings.make().map(Pieces)
    }

    /// Runs `body`, which queues the beginning of a message that is sent piece by piece. Messages
    /// compressed later do not refer to those before it: the distance is not known yet.
    pub fn forgetting<T>(&self, body: impl FnOnce() -> T) -> T {
        let Some(own) = &self.own else { return body() };
        let mut own = lock(own);
        if let Some(deflater) = &mut *own {
            deflater.forget();
        }
        body()
    }
}

/// The compressed forms of one message, for many connections.
#[derive(Default)]
pub struct CompressedOnce(SmallVec<[Form; 1]>);

/// What a compressor with these settings makes of a message; `None`: nothing shorter.
type Form = (Settings, Option<Box<[u8]>>);

impl Compression {
    /// Whether the compressed form of a message is the same for all connections with the same
    /// settings.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.own.is_none()
    }

    /// The compressed form of a message, which is compressed once for all connections with the same
    /// settings; `None` if it must be sent uncompressed. Only where it
    /// [is shared](Self::is_shared).
    pub fn compress_once<'c>(
        &self,
        message: &[u8],
        forms: &'c mut CompressedOnce,
    ) -> Option<&'c [u8]> {
        let known = forms
            .0
            .iter()
            .position(|(other, _)| *other == self.settings);
        let known = known.unwrap_or_else(|| {
            let form = Tools::with(|tools| {
                let (deflater, buffer) = tools.get(self.settings)?;
                deflater.forget();
                deflater.deflate(message, buffer).map(Box::from)
            });
            forms.0.push((self.settings, form));
            forms.0.len() - 1
        });
        forms.0[known].1.as_deref()
    }
}

/// After a panic a compressor is in an unknown state, so it is replaced.
fn lock(own: &Mutex<Option<Deflater>>) -> MutexGuard<'_, Option<Deflater>> {
    own.lock().unwrap_or_else(|poisoned| {
        let mut own = poisoned.into_inner();
        *own = None;
        own
    })
}

thread_local! {
    static TOOLS: Cell<Tools> = const { Cell::new(Tools::NONE) };
}

/// The compressors and the buffer of a thread.
struct Tools {
    /// The last used one is the last element.
    deflaters: Vec<(Settings, Deflater)>,
    buffer: Vec<u8>,
}

impl Default for Tools {
    fn default() -> Self {
        Self::NONE
    }
}

impl Tools {
    const NONE: Self = Self {
        deflaters: Vec::new(),
        buffer: Vec::new(),
    };

    /// Lends the tools of this thread. A plugin may still send while its thread ends and its
    /// thread-local values are gone. New tools are then made for one use.
    fn with<T>(body: impl FnOnce(&mut Self) -> T) -> T {
        with_kept(&TOOLS, |tools| {
            let result = body(tools);
            if tools.buffer.capacity() > KEPT_CAPACITY {
                tools.buffer = Vec::new();
            }
            result
        })
    }

    /// A compressor and a buffer, if there is memory for them.
    fn get(&mut self, settings: Settings) -> Option<(&mut Deflater, &mut Vec<u8>)> {
        let Self { deflaters, buffer } = self;
        let found = deflaters.iter().position(|(other, _)| *other == settings);
        if let Some(at) = found {
            deflaters[at..].rotate_left(1);
        } else {
            if deflaters.len() == MAX_KEPT {
                deflaters.remove(0);
            }
            deflaters.push((settings, settings.make()?));
        }
        let (_, deflater) = deflaters.last_mut()?;
        Some((deflater, buffer))
    }
}

#[cfg(test)]
mod tests {
    use super::{Compression, CompressionPolicy, TOOLS};
    use crate::protocol::{DeflateContext, DeflateLevel, DeflateParameters, Opcode};

    const TEXT: &[u8] = b"a text, a text, a text and again the same text";

    fn compression(context: DeflateContext) -> Compression {
        let policy = CompressionPolicy {
            level: DeflateLevel::default(),
            threshold: 10,
            context,
        };
        let agreed = DeflateParameters::negotiate(b"permessage-deflate", context).unwrap();
        Compression::new(policy, &agreed)
    }

    /// The compressed form of a message. If `is_queued` is false, it is not queued.
    fn compressed(compression: &Compression, message: &[u8], is_queued: bool) -> Option<Vec<u8>> {
        let mut payload = None;
        let queued = compression.compress(message, |compressed| {
            payload = compressed.map(<[u8]>::to_vec);
            Ok::<_, ()>(is_queued)
        });
        assert_eq!(queued, Ok(is_queued));
        payload
    }

    #[test]
    fn messages_from_the_threshold_on_are_compressed_and_control_frames_never() {
        let compression = compression(DeflateContext::Shared);
        for (opcode, len, is_concerned) in [
            (Opcode::Text, 9, false),
            (Opcode::Text, 10, true),
            (Opcode::Binary, 10, true),
            (Opcode::Ping, 100, false),
            (Opcode::Pong, 100, false),
            (Opcode::Close, 100, false),
        ] {
            assert_eq!(compression.concerns(opcode, &vec![0; len]), is_concerned);
        }
    }

    #[test]
    fn a_message_refers_to_the_previous_one_only_with_context_takeover() {
        let shared = compression(DeflateContext::Shared);
        let first = compressed(&shared, TEXT, true).unwrap();
        assert_eq!(compressed(&shared, TEXT, true), Some(first.clone()));
        let own = compression(DeflateContext::Connection);
        assert_eq!(compressed(&own, TEXT, true), Some(first.clone()));
        assert!(compressed(&own, TEXT, true).unwrap().len() < first.len() / 2);
    }

    #[test]
    fn the_context_has_only_messages_that_were_queued_compressed() {
        let own = compression(DeflateContext::Connection);
        let first = compressed(&own, TEXT, false);
        assert_eq!(compressed(&own, TEXT, true), first);
        let noise = b"0a9Z8y7X6w5V4u3T2s1R";
        assert_eq!(compressed(&own, noise, true), None);
        assert_eq!(compressed(&own, TEXT, true), first);
    }

    #[test]
    fn a_thread_keeps_few_compressors_and_no_large_buffer() {
        for bits in 9..=15 {
            let mut compression = compression(DeflateContext::Shared);
            compression.settings.window_bits = bits;
            assert!(compressed(&compression, &vec![b'x'; 1 << 20], true).is_some());
        }
        let tools = TOOLS.take();
        assert_eq!(tools.deflaters.len(), super::MAX_KEPT);
        assert!(tools.buffer.capacity() <= super::KEPT_CAPACITY);
    }
}
