//! A client whose reads and writes are scripted.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::transport::Stream;

/// A client whose reads and writes are scripted.
#[derive(Default)]
pub(super) struct Script {
    /// What the client has sent, in pieces that are read one by one. An empty piece is the end.
    pub(super) sent: VecDeque<Vec<u8>>,
    pub(super) received: Vec<u8>,
    /// How many more bytes the client takes.
    pub(super) room: usize,
    pub(super) writes: usize,
    pub(super) is_lost: bool,
    pub(super) is_aborted: bool,
    pub(super) is_emptied_by_short_reads: bool,
}

#[derive(Clone, Default)]
pub(super) struct Wire(Arc<Mutex<Script>>);

impl Wire {
    pub(super) fn script<T>(&self, body: impl FnOnce(&mut Script) -> T) -> T {
        body(&mut self.0.lock().unwrap())
    }

    /// The client sends frames that arrive together.
    pub(super) fn send(&self, frames: &[Vec<u8>]) {
        self.script(|script| script.sent.push_back(frames.concat()));
    }

    pub(super) fn end(&self) {
        self.send(&[]);
    }

    /// What the client has received since the last call.
    pub(super) fn received(&self) -> Vec<u8> {
        self.script(|script| std::mem::take(&mut script.received))
    }

    pub(super) fn take(&self, room: usize) {
        self.script(|script| script.room += room);
    }
}

impl Stream for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.script(|script| {
            if script.is_lost {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            let mut bytes = script.sent.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
            let rest = bytes.split_off(bytes.len().min(buffer.len()));
            if !rest.is_empty() {
                script.sent.push_front(rest);
            }
            buffer[..bytes.len()].copy_from_slice(&bytes);
            Ok(bytes.len())
        })
    }

    fn is_emptied_by_short_reads(&self) -> bool {
        self.script(|script| script.is_emptied_by_short_reads)
    }

    fn find_end(&mut self) {}

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.script(|script| {
            if script.is_lost {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let written = bytes.len().min(script.room);
            if written == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            script.room -= written;
            script.writes += 1;
            script.received.extend_from_slice(&bytes[..written]);
            Ok(written)
        })
    }

    fn write_pieces(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(
            &pieces
                .iter()
                .flat_map(|piece| piece.to_vec())
                .collect::<Vec<_>>(),
        )
    }

    fn flush(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn has_progressed(&mut self) -> bool {
        false
    }

    fn retry_interval(&self, _: Duration) -> Option<Duration> {
        None
    }

    fn descriptor(&self) -> io::Result<Arc<OwnedFd>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn abort(&mut self) {
        self.script(|script| script.is_aborted = true);
    }
}
