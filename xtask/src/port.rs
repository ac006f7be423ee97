//! TCP ports on the loopback interface.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result};

/// The first port. It is below the range for outgoing connections (32768 and up on Linux, 49152 and
/// up elsewhere), so no client socket takes a port between the search and its use.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// Checks that this user may listen on `port` of the loopback addresses.
///
/// # Errors
/// [`ErrorKind::AddrInUse`] if the port is in use, [`ErrorKind::PermissionDenied`] if it is
/// reserved for root.
pub fn check(port: u16) -> io::Result<()> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    match TcpListener::bind((Ipv6Addr::LOCALHOST, port)) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(error),
        _ => Ok(()), // the port is free, or there is no IPv6
    }
}

/// Whether this machine has the address `::1`.
#[must_use]
pub fn has_ipv6_loopback() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// A free port of 127.0.0.1. Two calls in one process never return the same port.
///
/// # Errors
/// All ports of the range are in use.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run at the same time start far from each other.
    let seed = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(COUNT))?;
    (0..COUNT)
        .map(|_| NEXT.fetch_add(1, Ordering::Relaxed) % COUNT)
        .map(|step| FIRST + (seed + step) % COUNT)
        .find(|&port| check(port).is_ok())
        .with_context(|| format!("no free port from {FIRST} to {}", FIRST + COUNT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_are_free_and_differ() {
        let (first, second) = (free_port().unwrap(), free_port().unwrap());
        assert_ne!(first, second);
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        assert_eq!(check(first).unwrap_err().kind(), ErrorKind::AddrInUse);
        check(second).unwrap();
    }
}
