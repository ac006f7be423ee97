//! The bytes of a stream of HTTP/2 (RFC 8441), which pass through the filters of mod_http2.
//!
//! mod_http2 waits while its buffer is full, and takes any amount when it is empty
//! (`httpd/beam.rs`). So a piece is passed only when the one before was taken. As nothing tells
//! when to look whether it was, a writer looks again after a while.

use std::io::{self, IoSlice};
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::stream::{Stream, front};
use crate::httpd::beam::Beam;
use crate::httpd::brigades::Input;

/// What is passed on at a time: as much as mod_http2 keeps of a stream (`H2StreamMaxMemSize`).
const PASS_SIZE: usize = 32 * 1024;

/// How long to wait before looking again: a quarter of the time waited so far, within these limits.
const SHORTEST_RETRY: Duration = Duration::from_micros(100);
const LONGEST_RETRY: Duration = Duration::from_millis(20);

/// A stream's bytes in both directions.
pub struct Http2Stream {
    beam: Beam,
    /// Readable when there is input.
    input: Arc<OwnedFd>,
    /// The mark was read that stands for the body of the opening handshake.
    has_begun: bool,
}

impl Http2Stream {
    /// `input` is readable when there are bytes to read.
    #[must_use]
    pub fn new(beam: Beam, input: OwnedFd) -> Self {
        Self {
            beam,
            input: Arc::new(input),
            has_begun: false,
        }
    }
}

impl Stream for Http2Stream {
    fn descriptor(&self) -> io::Result<Arc<OwnedFd>> {
        Ok(Arc::clone(&self.input))
    }

    fn retry_interval(&self, pending: Duration) -> Option<Duration> {
        Some((pending / 4).clamp(SHORTEST_RETRY, LONGEST_RETRY))
    }

    fn is_emptied_by_short_reads(&self) -> bool {
        false
    }

    /// mod_http2 gives the end like other input.
    fn find_end(&mut self) {}

    /// mod_http2 marks the end of the body first, as the request has none, although the stream goes
    /// on (h2_c2.c, `h2_c2_filter_in`). The next such mark is the end of the stream.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.beam.read(buffer)? {
                Input::Bytes(length) => return Ok(length),
                Input::EndOfBody if !mem::replace(&mut self.has_begun, true) => {}
                Input::EndOfBody | Input::End => return Ok(0),
                Input::Nothing => return Err(io::ErrorKind::WouldBlock.into()),
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.beam.is_taken()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let piece = &bytes[..bytes.len().min(PASS_SIZE)];
        self.beam.pass(piece)?;
        Ok(piece.len())
    }

    fn write_pieces(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(&front(pieces, PASS_SIZE))
    }

    /// Nothing tells.
    fn has_progressed(&mut self) -> bool {
        false
    }

    fn abort(&mut self) {
        self.beam.reset();
    }
}
