//! All allocations whose size depends on a client, so that one place can refuse and count them.

use std::sync::{Mutex, OnceLock, PoisonError};

use super::ProtocolError;

/// A growth of at least this many bytes succeeds only if [`HEADROOM`] bytes are left afterwards.
const LARGE: usize = 64 * 1024;

/// The number of bytes that clients must leave to httpd, to plugins and to other connections, which
/// cannot do without memory.
const HEADROOM: usize = 4 * 1024 * 1024;

/// The fuzz targets count all allocations, also those that are freed at once.
#[allow(unexpected_cfgs, reason = "`cargo xtask fuzz` sets it")]
const IS_FUZZED: bool = cfg!(fuzzing);

/// Locked during a large allocation, so that two threads do not count on the same memory.
static TAKING: Mutex<()> = Mutex::new(());

/// Returns whether the system has this many bytes left. If it is unset, `grow` asks the allocator,
/// which may have free memory that only it can use.
static IS_AVAILABLE: OnceLock<fn(usize) -> bool> = OnceLock::new();

/// Sets the function that says whether the system has this many bytes left.
pub fn look_for_memory_with(look: fn(usize) -> bool) {
    IS_AVAILABLE.get_or_init(|| look);
}

/// Makes room for `additional` bytes after the contents of `buffer`, and no more. The caller
/// decides how far to grow ahead.
///
/// # Errors
///
/// [`ProtocolError::NoMemory`] if the system has no memory, or if too little would be left. The
/// buffer then keeps its old capacity, because others need the memory before this connection has
/// ended.
pub(super) fn grow(buffer: &mut Vec<u8>, additional: usize) -> Result<(), ProtocolError> {
    if buffer.capacity() - buffer.len() >= additional {
        return Ok(());
    }
    if additional < LARGE || IS_FUZZED {
        return try_grow(buffer, additional);
    }
    let _taking = TAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let before = buffer.capacity();
    try_grow(buffer, additional)?;
    let is_available = IS_AVAILABLE
        .get()
        .map_or_else(|| ensure(HEADROOM).is_ok(), |look| look(HEADROOM));
    if !is_available {
        buffer.shrink_to(before);
        return Err(ProtocolError::NoMemory);
    }
    Ok(())
}

/// Checks that `len` bytes can be allocated, for a caller whose next allocation cannot fail
/// gracefully.
///
/// # Errors
///
/// [`ProtocolError::NoMemory`].
pub(super) fn ensure(len: usize) -> Result<(), ProtocolError> {
    try_grow(&mut Vec::new(), len)
}

fn try_grow(buffer: &mut Vec<u8>, additional: usize) -> Result<(), ProtocolError> {
    buffer
        .try_reserve_exact(additional)
        .map_err(|_| ProtocolError::NoMemory)
}

#[cfg(test)]
mod tests {
    use super::{ProtocolError, ensure, grow};

    #[test]
    fn a_buffer_grows_by_exactly_the_requested_amount() {
        let mut buffer = vec![1, 2, 3];
        assert_eq!(grow(&mut buffer, 100_000), Ok(()));
        assert_eq!(buffer, [1, 2, 3]);
        let capacity = buffer.capacity();
        assert!((100_003..100_100).contains(&capacity), "{capacity}");
        assert_eq!(grow(&mut buffer, 100_000), Ok(()));
        assert_eq!(buffer.capacity(), capacity);
    }

    #[test]
    fn more_memory_than_the_system_has_is_refused() {
        let mut buffer = vec![1, 2, 3];
        for much in [isize::MAX as usize - 3, 1 << 60, usize::MAX] {
            assert_eq!(grow(&mut buffer, much), Err(ProtocolError::NoMemory));
            assert_eq!(ensure(much), Err(ProtocolError::NoMemory));
        }
        assert_eq!(buffer, [1, 2, 3]);
    }
}
