//! Makes the processor fetch memory that is about to be used.

/// Begins to fetch `value` into the cache, and does not wait for it.
#[inline]
pub fn prefetch<T>(value: &T) {
    prefetch_at(std::ptr::from_ref(value).addr(), size_of::<T>());
}

/// Begins to fetch `length` bytes from this address on. The address need not be valid.
#[cfg(target_arch = "x86_64")]
#[inline]
pub fn prefetch_at(address: usize, length: usize) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

    /// The size of a cache line in bytes.
    const LINE: usize = 64;

    for offset in (0..length).step_by(LINE) {
        let line = std::ptr::without_provenance(address.wrapping_add(offset));
        // SAFETY: a prefetch is a hint. It changes nothing and fails for no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line) };
    }
}

/// Does nothing: stable Rust has no prefetch instruction for this processor.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub fn prefetch_at(_address: usize, _length: usize) {}
