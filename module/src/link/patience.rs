//! How a sender whose message found the queue full waits for the client.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::gone::Gone;
use super::outlet::Waited;

/// A sender's wait for one client, which may go on for a while in all.
pub(super) struct Patience {
    descriptor: Arc<OwnedFd>,
    deadline: Instant,
}

impl Patience {
    /// Waits for the client behind `descriptor`, from now on for so long at most.
    pub(super) fn new(descriptor: Arc<OwnedFd>, timeout: Duration) -> Self {
        Self {
            descriptor,
            deadline: Instant::now() + timeout,
        }
    }

    /// Waits until the client takes more, or for `retry`.
    pub(super) fn wait(&self, gone: &Gone, retry: Option<Instant>) -> Waited {
        let now = Instant::now();
        let Some(left) = self.deadline.checked_duration_since(now) else {
            return Waited::TimedOut;
        };
        let left = retry.map_or(left, |retry| retry.saturating_duration_since(now).min(left));
        let mut waited_for = [
            PollFd::new(&self.descriptor, PollFlags::OUT),
            PollFd::new(gone, PollFlags::IN),
        ];
        // An interrupted wait is just taken up again.
        let _ = poll(&mut waited_for, Timespec::try_from(left).ok().as_ref());
        if waited_for[1].revents().is_empty() {
            Waited::Ready
        } else {
            Waited::Gone
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Gone, Patience, Waited};
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    const LONG: Duration = Duration::from_secs(60);

    /// A client that takes nothing, and the wait for it.
    fn client(timeout: Duration) -> (UnixStream, Patience) {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        while ours.write(&[0; 4096]).is_ok() {}
        (theirs, Patience::new(Arc::new(ours.into()), timeout))
    }

    #[test]
    fn a_sender_waits_until_its_client_reads() {
        let (mut client, patience) = client(LONG);
        let gone = Gone::new().unwrap();
        client.set_nonblocking(true).unwrap();
        while client.read(&mut [0; 4096]).is_ok() {}
        assert_eq!(patience.wait(&gone, None), Waited::Ready);
    }

    #[test]
    fn a_sender_without_room_learns_when_the_connection_is_gone() {
        let (_client, patience) = client(LONG);
        let gone = Gone::new().unwrap();
        gone.set();
        assert_eq!(patience.wait(&gone, None), Waited::Gone);
    }

    #[test]
    fn a_client_that_never_reads_is_waited_for_until_the_timeout() {
        let (_client, patience) = client(Duration::from_millis(10));
        let gone = Gone::new().unwrap();
        assert_eq!(patience.wait(&gone, None), Waited::Ready);
        assert_eq!(patience.wait(&gone, None), Waited::TimedOut);
    }

    #[test]
    fn a_sender_tries_again_when_it_is_told_to() {
        let (_client, patience) = client(LONG);
        let gone = Gone::new().unwrap();
        let begun = Instant::now();
        let soon = Some(begun + Duration::from_millis(10));
        assert_eq!(patience.wait(&gone, soon), Waited::Ready);
        assert!(begun.elapsed() < LONG);
    }
}
