//! Memory that grows because of what a client sends: the one place where it is taken, so that it can be
//! refused, and counted, here.

use std::sync::{Mutex, OnceLock, PoisonError};

use super::ProtocolError;

/// A buffer grows by so much (in bytes) only if [`HEADROOM`] is left after that.
const LARGE: usize = 64 * 1024;

/// What clients leave (in bytes) to those who cannot do without: httpd, plugins, and all who are served
/// meanwhile.
const HEADROOM: usize = 4 * 1024 * 1024;

/// The fuzz targets count all memory that is taken, also what is given back at once.
#[allow(unexpected_cfgs, reason = "`cargo xtask fuzz` sets it")]
const IS_FUZZED: bool = cfg!(fuzzing);

/// Held by whoever takes much, so that two threads do not both count on the same memory.
static TAKING: Mutex<()> = Mutex::new(());

/// Tells whether so many bytes could be had from the system. Unset, the allocator is asked, which may have
/// bytes that nobody else can use.
static IS_AVAILABLE: OnceLock<fn(usize) -> bool> = OnceLock::new();

/// Has `look` tell whether the system has so many bytes left, from now on.
pub fn look_for_memory_with(look: fn(usize) -> bool) {
    IS_AVAILABLE.get_or_init(|| look);
}

/// Makes room for `additional` bytes behind those of `buffer`, and no more than that: how far a buffer
/// grows ahead is its owner's decision.
///
/// # Errors
///
/// [`ProtocolError::NoMemory`] if the system has none, or next to none would be left. The buffer has not
/// grown then: until its connection has ended, others need what it would have taken.
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

/// Makes sure that `len` bytes could be had, for somebody who cannot be refused.
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
    fn a_buffer_grows_as_far_as_it_is_told() {
        let mut buffer = vec![1, 2, 3];
        assert_eq!(grow(&mut buffer, 100_000), Ok(()));
        assert_eq!(buffer, [1, 2, 3]);
        let capacity = buffer.capacity();
        assert!((100_003..100_100).contains(&capacity), "{capacity}");
        assert_eq!(grow(&mut buffer, 100_000), Ok(()));
        assert_eq!(buffer.capacity(), capacity);
    }

    #[test]
    fn what_the_system_does_not_have_is_refused() {
        let mut buffer = vec![1, 2, 3];
        for much in [isize::MAX as usize - 3, 1 << 60, usize::MAX] {
            assert_eq!(grow(&mut buffer, much), Err(ProtocolError::NoMemory));
            assert_eq!(ensure(much), Err(ProtocolError::NoMemory));
        }
        assert_eq!(buffer, [1, 2, 3]);
    }
}
