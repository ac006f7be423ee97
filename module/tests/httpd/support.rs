//! Shared code of the cases: servers, clients, plugins, and facts about processes.

pub(crate) mod client;
pub(crate) mod frame;
pub(crate) mod handshake;
pub(crate) mod http2;
pub(crate) mod journal;
pub(crate) mod latency;
pub(crate) mod network;
pub(crate) mod openssl;
pub(crate) mod plugins;
pub(crate) mod random;
pub(crate) mod records;
pub(crate) mod server;
pub(crate) mod spread;
pub(crate) mod tls;
pub(crate) mod wire;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use xtask::httpd::Httpd;

pub(crate) use self::client::Client;
pub(crate) use self::frame::{Frame, Opcode};
pub(crate) use self::handshake::Handshake;
pub(crate) use self::server::{Context, Driver, HTTP2, HTTP2_WEBSOCKETS};

/// The longest time that an expected event may take. Loaded machines are slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A rule, and the test that checks it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Context) -> Result<()>,
}

/// Defines the cases of a file from lines of the form `"rule" => function`.
macro_rules! cases {
    ($($name:literal => $run:path),* $(,)?) => {
        pub(crate) const CASES: &[crate::support::Case] =
            &[$(crate::support::Case { name: $name, run: $run }),*];
    };
}
pub(crate) use cases;

/// Waits until none of these children is there any more.
///
/// # Errors
/// As for [`wait_until`].
pub(crate) fn await_gone(httpd: &Httpd, old: &[u32]) -> Result<()> {
    wait_until("the old children are gone", || {
        let children = httpd.child_pids()?;
        Ok(!children.iter().any(|child| old.contains(child)))
    })
}

/// Waits until `condition` holds.
///
/// # Errors
/// It does not hold within [`PATIENCE`], or the check fails.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !condition()? {
        if Instant::now() > deadline {
            bail!("not within {PATIENCE:?}: {what}");
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
