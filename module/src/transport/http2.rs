//! The bytes of an HTTP/2 stream (RFC 8441), which pass through the filters of mod_http2.
//!
//! mod_http2 blocks while its buffer is full, and takes any amount when it is empty
//! (`httpd/beam.rs`). So a piece is passed only when mod_http2 has taken the one before. No event
//! tells when that happens, so a writer looks again after a while.

use std::io::{self, IoSlice};
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::stream::{Stream, front};
use crate::httpd::beam::Beam;
use crate::httpd::brigades::Input;

/// Most bytes passed on at a time: as many as mod_http2 buffers for a stream by default
/// (`H2StreamMaxMemSize`).
const PASS_SIZE: usize = 32 * 1024;

/// How long to wait before looking again: a quarter of the time waited so far, within these limits.
const SHORTEST_RETRY: Duration = Duration::from_micros(100);
const LONGEST_RETRY: Duration = Duration::from_millis(20);

/// A stream's bytes in both directions.
pub struct Http2Stream {
    beam: Beam,
    /// Readable when there is input.
    input: Arc<OwnedFd>,
    /// The mark that ends the body of the opening handshake was read.
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

    /// mod_http2 reports the end of the stream like other input.
    fn find_end(&mut self) {}

    /// The first mark that ends a body belongs to the request, which has none, and the stream goes
    /// on after it (h2_c2.c, `h2_c2_filter_in`). The next such mark is the end of the stream.
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

    /// mod_http2 does not tell.
    fn has_progressed(&mut self) -> bool {
        false
    }

    fn abort(&mut self) {
        self.beam.reset();
    }
}
