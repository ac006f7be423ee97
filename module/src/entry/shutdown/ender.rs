//! Ends the threads of plugins, and the threads that call plugins at each tick, where the MPM ends
//! a child in a signal handler (prefork).
//!
//! The handler may have interrupted anything, also a thread that holds the lock of the memory's
//! allocator. So it takes no lock and runs no code of a plugin: it tells a thread to do that, and
//! waits. Only when no thread of a plugin is left, the handler goes on to free the memory of the
//! connection, which they may use. If one is left, or the time is over, the process ends at once.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::OnceLock;
use std::thread::Builder;
use std::time::{Duration, Instant};

use crate::httpd::guard::guard;
use crate::httpd::log::{Level, log_server};
use crate::httpd::mpm;
use crate::httpd::thread::spawn_lasting;
use crate::plugin::{self, LoadedPlugin};
use crate::{flusher, topics};

/// How long the threads of all plugins together may take to end, with the callbacks that are left.
/// All that takes time at the end of a child has a [deadline](super::deadline).
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// How long ticks may take to end.
pub(super) const TICKS: Duration = Duration::from_millis(500);

/// How much longer than the plugins the handler waits: for ticks, and for topics, which send what
/// the last callbacks have published.
const SLACK: Duration = Duration::from_secs(2);

/// What of it is for the rest.
const MARGIN: Duration = Duration::from_millis(250);

/// What the thread answers when no thread is left that runs a plugin's code.
const ENDED: u8 = 1;

/// The thread that waits for the end.
struct Ender {
    /// The process that has it. One that is forked from it inherits the rest, but not the thread.
    process: u32,
    stream: UnixStream,
}

static ENDER: OnceLock<Ender> = OnceLock::new();

/// Called before a plugin is asked for a connection: [prepares](prepare) for the plugin's threads.
///
/// # Errors
///
/// As [`prepare`].
pub(in crate::entry) fn prepare_for(plugin: &LoadedPlugin) -> io::Result<()> {
    if !plugin.has_threads() || mpm::is_threaded() {
        return Ok(());
    }
    prepare()
}

/// Starts the thread that waits for the end, if it does not run. For an MPM without threads. Called
/// before a thread starts that runs a plugin's code.
///
/// # Errors
///
/// When the process can have no more threads or descriptors. The caller's thread must not start
/// then.
pub(in crate::entry) fn prepare() -> io::Result<()> {
    if ENDER.get().is_some() {
        return Ok(());
    }
    let (stream, theirs) = UnixStream::pair()?;
    stream.set_read_timeout(Some(PATIENCE + SLACK))?;
    spawn_lasting(Builder::new().name("ws-end".into()), move || serve(theirs))?;
    // The process has one thread that serves connections, so this happens once.
    ENDER.get_or_init(|| Ender {
        process: process::id(),
        stream,
    });
    Ok(())
}

fn serve(mut stream: UnixStream) {
    let mut word = [0];
    if stream.read_exact(&mut word).is_err() {
        return;
    }
    let began = Instant::now();
    let has_ended = guard("the end of plugins' threads", false, || {
        // A tick may use what the threads of an async plugin serve, so ticks end first.
        let have_ticks_ended = plugin::stop_ticks(TICKS);
        let has_ended = plugin::end_threads(PATIENCE) && have_ticks_ended;
        if !has_ended {
            log_threads();
        }
        // Their threads also write to the connection.
        let left = (PATIENCE + SLACK).saturating_sub(began.elapsed() + MARGIN);
        topics::stop(left);
        flusher::stop();
        has_ended
    });
    // If this fails, the process ends.
    let _ = stream.write(&[if has_ended { ENDED } else { 0 }]);
}

/// Has the threads of all plugins and all ticks ended. Called in the signal handler that ends the
/// child.
pub(in crate::entry) fn end_from_handler() {
    let Some(ender) = ENDER.get() else { return };
    if ender.process != process::id() {
        return;
    }
    if ask(&ender.stream) != Some(ENDED) {
        end_now();
    }
}

/// Ends the process although threads of plugins are left.
pub(in crate::entry) fn leave_threads() -> ! {
    log_threads();
    end_now()
}

fn log_threads() {
    let text = "a thread of a plugin does not end; the process ends without it";
    log_server(Level::Warning, text);
}

/// Ends the process without freeing what its threads may use. A signal handler may call it.
pub(in crate::entry) fn end_now() -> ! {
    // SAFETY: this ends the process and runs nothing, so that no thread finds anything gone.
    unsafe { libc::_exit(0) }
}

/// The answer of the thread. Uses nothing but system calls.
fn ask(mut stream: &UnixStream) -> Option<u8> {
    stream.write_all(&[0]).ok()?;
    let mut word = [0];
    stream.read_exact(&mut word).ok()?;
    Some(word[0])
}
