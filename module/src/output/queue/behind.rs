//! Messages that wait behind one that is being written.

use crate::output::frames::Frames;

/// Messages that were accepted while another one is being written, in order.
#[derive(Default)]
pub(super) struct Behind {
    pub(super) frames: Frames,
    /// Their bytes, which count as waiting, too.
    pub(super) len: usize,
}
