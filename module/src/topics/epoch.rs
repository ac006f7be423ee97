//! What tells a history from all others of its topic.
//!
//! Whoever counts the messages of a topic chooses the epoch: this host, or a broker. After a
//! restart with another broker, or without one, somebody else counts. The last bit of an epoch says
//! who it was, so that nobody goes on with the numbers of another: the same position would stand
//! for two messages.

use super::random::random;

/// Stands where no epoch is known. No history has it.
pub(super) const NONE: u64 = 0;

/// The epoch of a history that this host begins to count. It was not there before.
pub(super) fn of_host() -> u64 {
    (random() & !1).max(2)
}

/// The epoch of a history that a broker counts, made from a number that was not there before.
pub(super) fn of_broker(number: u64) -> u64 {
    number | 1
}

/// Whether a broker counts the messages of this epoch.
pub(super) fn is_of_broker(epoch: u64) -> bool {
    epoch & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::{NONE, is_of_broker, of_broker, of_host};

    #[test]
    fn an_epoch_tells_who_counts() {
        for number in 0..100 {
            assert!(is_of_broker(of_broker(number)));
            assert!(!is_of_broker(of_host()) && of_host() != NONE);
        }
    }
}
