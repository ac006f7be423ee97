//! What the modelled files use of the module and has nothing to do with threads.

/// Makes frames.
pub(crate) mod protocol {
    /// What kind of message to send.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Opcode {
        Text,
        Continuation,
        Close,
    }

    pub(crate) use crate::account::{Closer, Closing, Traffic};
    pub(crate) use crate::output_state::OutputState;

    impl Opcode {
        pub(crate) fn is_control(self) -> bool {
            self == Self::Close
        }
    }

    /// What a connection asks of its output.
    pub(crate) trait Outgoing {
        fn messages_sent(&self) -> u64;
        fn bytes_taken(&self) -> Option<u64>;
    }

    /// No extension is negotiated.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Rsv;

    impl Rsv {
        pub(crate) const NONE: Self = Self;
        pub(crate) const RSV1: Self = Self;
    }

    /// A header of one byte, `(`.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct FrameHeader {
        pub(crate) fin: bool,
        pub(crate) rsv: Rsv,
        pub(crate) byte: u8,
    }

    impl FrameHeader {
        pub(crate) fn unmasked(_: Opcode, _: u64) -> Self {
            let (fin, rsv, byte) = (true, Rsv::NONE, b'(');
            Self { fin, rsv, byte }
        }

        pub(crate) fn encode(&self) -> [u8; 1] {
            [self.byte]
        }
    }
}

/// Nothing is compressed.
pub(crate) mod compression {
    use super::protocol::Opcode;

    pub(crate) struct Compression;

    impl Compression {
        pub(crate) fn concerns(&self, _: Opcode, _: &[u8]) -> bool {
            false
        }

        pub(crate) fn compress<E>(
            &self,
            _: &[u8],
            queue: impl FnOnce(Option<&[u8]>) -> Result<bool, E>,
        ) -> Result<bool, E> {
            queue(None)
        }

        pub(crate) fn is_shared(&self) -> bool {
            false
        }

        pub(crate) fn compress_once<'c>(
            &self,
            _: &[u8],
            _: &'c mut CompressedOnce,
        ) -> Option<&'c [u8]> {
            None
        }
    }

    #[derive(Default)]
    pub(crate) struct CompressedOnce;

    /// There is none.
    pub(crate) struct Pieces;

    impl Pieces {
        pub(crate) const TAIL_LEN: usize = 4;

        pub(crate) fn compress(&mut self, _: &[u8], _: &mut Vec<u8>, _: bool) -> Option<usize> {
            None
        }

        pub(crate) fn strip_tail(_: &mut Vec<u8>) {}
    }

    impl Compression {
        pub(crate) fn pieces(&self) -> Option<Pieces> {
            None
        }

        pub(crate) fn forgetting<T>(&self, body: impl FnOnce() -> T) -> T {
            body()
        }
    }
}

/// Nothing is counted.
pub(crate) mod meter {
    use super::protocol::Traffic;

    #[derive(Clone, Copy, Debug, Default)]
    pub(crate) struct Meter;

    impl Meter {
        pub(crate) fn sent(self, _: Traffic) {}

        pub(crate) fn queued(self, _: usize, _: usize) {}

        pub(crate) fn deflated(self, _: usize, _: usize) {}
    }
}
