//! Messages that wait behind one that is being written.

use std::time::Instant;

use crate::output::frames::Frames;

/// Messages that were accepted while another one is being written, in order.
#[derive(Default)]
pub(super) struct Behind {
    pub(super) frames: Frames,
    /// Their bytes, which count as waiting, too.
    pub(super) len: usize,
    /// When the writer of the message counts as lost. `None`: never, or it is writing.
    pub(super) abandoned_at: Option<Instant>,
}

impl Behind {
    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned_at.is_some_and(|at| at <= Instant::now())
    }
}
