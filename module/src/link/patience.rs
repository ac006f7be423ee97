//! How a sender whose message found the queue full waits for the client.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::gone::Gone;
use super::outlet::Waited;

/// The wait for one client, which may go on for as long as the client takes something now and then.
pub(super) struct Patience {
    descriptor: Arc<OwnedFd>,
    timeout: Option<Duration>,
}

impl Patience {
    /// Waits for the client behind `descriptor`, which may go so long without taking anything; `None`:
    /// for ever.
    pub(super) fn new(descriptor: Arc<OwnedFd>, timeout: Option<Duration>) -> Self {
        Self {
            descriptor,
            timeout,
        }
    }

    /// Waits until the client takes more, or for `retry`. It has taken nothing `since` then.
    pub(super) fn wait(&self, gone: &Gone, since: Instant, retry: Option<Instant>) -> Waited {
        let now = Instant::now();
        let deadline = self.timeout.and_then(|timeout| since.checked_add(timeout));
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Waited::TimedOut;
        }
        let until = deadline.into_iter().chain(retry).min();
        let left =
            until.and_then(|until| Timespec::try_from(until.saturating_duration_since(now)).ok());
        let mut waited_for = [
            PollFd::new(&self.descriptor, PollFlags::OUT),
            PollFd::new(gone, PollFlags::IN),
        ];
        // An interrupted wait is just taken up again.
        let _ = poll(&mut waited_for, left.as_ref());
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
        (theirs, Patience::new(Arc::new(ours.into()), Some(timeout)))
    }

    #[test]
    fn a_sender_waits_until_its_client_reads() {
        let (mut client, patience) = client(LONG);
        let gone = Gone::new().unwrap();
        client.set_nonblocking(true).unwrap();
        while client.read(&mut [0; 4096]).is_ok() {}
        assert_eq!(patience.wait(&gone, Instant::now(), None), Waited::Ready);
    }

    #[test]
    fn a_sender_without_room_learns_when_the_connection_is_gone() {
        let (_client, patience) = client(LONG);
        let gone = Gone::new().unwrap();
        gone.set();
        assert_eq!(patience.wait(&gone, Instant::now(), None), Waited::Gone);
    }

    #[test]
    fn a_client_that_never_reads_is_waited_for_until_the_timeout() {
        let (_client, patience) = client(Duration::from_millis(10));
        let gone = Gone::new().unwrap();
        let since = Instant::now();
        assert_eq!(patience.wait(&gone, since, None), Waited::Ready);
        assert_eq!(patience.wait(&gone, since, None), Waited::TimedOut);
        // It has taken something: the patience begins anew.
        assert_eq!(patience.wait(&gone, Instant::now(), None), Waited::Ready);
    }

    #[test]
    fn without_a_timeout_a_client_is_waited_for_whatever_it_does() {
        let (_client, patience) = client(LONG);
        let patience = Patience {
            timeout: None,
            ..patience
        };
        let gone = Gone::new().unwrap();
        let begun = Instant::now();
        let soon = Some(begun + Duration::from_millis(10));
        let long_ago = begun.checked_sub(2 * LONG).unwrap();
        assert_eq!(patience.wait(&gone, long_ago, soon), Waited::Ready);
        assert!(begun.elapsed() < LONG);
    }

    #[test]
    fn a_sender_tries_again_when_it_is_told_to() {
        let (_client, patience) = client(LONG);
        let gone = Gone::new().unwrap();
        let begun = Instant::now();
        let soon = Some(begun + Duration::from_millis(10));
        assert_eq!(patience.wait(&gone, begun, soon), Waited::Ready);
        assert!(begun.elapsed() < LONG);
    }
}
