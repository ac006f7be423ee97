//! Facts about a process, and its end (Linux).

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::httpd::{STOPPED_WITHIN, poll};

/// Whether the process has ended. Its parent may not have asked for its status yet.
#[must_use]
pub fn has_ended(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the program's name, which is in parentheses.
    let state = stat.rsplit_once(") ").map(|(_, fields)| fields);
    state.is_none_or(|state| state.starts_with(['X', 'Z']))
}

/// Asks a daemon to end (SIGTERM). If it still runs after 15 seconds, kills it with its process
/// group.
pub fn end_daemon(pid: u32) {
    end_within(pid, STOPPED_WITHIN);
}

fn end_within(pid: u32, limit: Duration) {
    let Some(process) = Pid::from_raw(pid.cast_signed()) else {
        return;
    };
    let ended = || Ok(has_ended(pid).then_some(()));
    // The only errors are that there is no such process or group.
    let _ = kill_process(process, Signal::TERM);
    if matches!(poll(limit, ended), Ok(Some(()))) {
        return;
    }
    let _ = kill_process(process, Signal::KILL);
    let _ = kill_process_group(process, Signal::KILL);
    let _ = poll(limit, ended);
}

/// The processor time used so far, in clock ticks (usually 10 ms each).
///
/// # Errors
/// There is no such process.
pub fn cpu_ticks(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The program's name, in parentheses, may contain spaces. User and system time are fields 14
    // and 15.
    let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
    let times = fields.split_whitespace().skip(11).take(2);
    Ok(times.map(str::parse::<u64>).sum::<Result<_, _>>()?)
}

/// The resident memory, in KiB.
///
/// # Errors
/// There is no such process.
pub fn resident_kib(pid: u32) -> Result<u64> {
    kib(&format!("/proc/{pid}/status"), "VmRSS:")
}

/// The largest resident memory so far, in KiB.
///
/// # Errors
/// There is no such process.
pub fn peak_resident_kib(pid: u32) -> Result<u64> {
    kib(&format!("/proc/{pid}/status"), "VmHWM:")
}

/// The memory in KiB (PSS): private pages, and a proportional share of shared ones.
///
/// # Errors
/// There is no such process, or it belongs to another user.
pub fn proportional_kib(pid: u32) -> Result<u64> {
    kib(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

/// The same without pages of files and of shared memory segments (`Pss_Anon`). How many processes
/// share the former changes when other servers of this machine come and go. Kernels before 5.4 do
/// not tell: with them.
///
/// # Errors
/// As [`proportional_kib`].
pub fn own_kib(pid: u32) -> Result<u64> {
    kib(&format!("/proc/{pid}/smaps_rollup"), "Pss_Anon:").or_else(|_| proportional_kib(pid))
}

/// The number of open descriptors.
///
/// # Errors
/// There is no such process, or it belongs to another user.
pub fn descriptors(pid: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// The number of threads whose name begins with `name`. The system keeps only 15 bytes of a name.
///
/// # Errors
/// There is no such process.
pub fn threads(pid: u32, name: &str) -> Result<usize> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))?;
    let names = tasks.filter_map(|task| {
        // The thread may have ended meanwhile.
        fs::read_to_string(task.ok()?.path().join("comm")).ok()
    });
    Ok(names.filter(|other| other.starts_with(name)).count())
}

/// The number in the line of `file` that begins with `name`.
fn kib(file: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    let number = number.with_context(|| format!("no {name} in {file}"))?;
    Ok(number.parse()?)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Read as _;
    use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_daemon_that_does_not_heed_sigterm_is_killed() -> Result<()> {
        for (habit, signal) in [("true", Signal::TERM), ("trap '' TERM", Signal::KILL)] {
            let mut child = Command::new("sh")
                .args(["-c", &format!("{habit}; echo ready; exec sleep 60")])
                .stdout(Stdio::piped())
                .process_group(0)
                .spawn()?;
            let mut ready = [0; 6];
            let output = child.stdout.as_mut().context("no output")?;
            output.read_exact(&mut ready)?;
            assert!(!has_ended(child.id()), "{habit}");
            end_within(child.id(), Duration::from_millis(300));
            // Nobody has asked for its status yet.
            assert!(has_ended(child.id()), "{habit}");
            let status = child.wait()?;
            assert_eq!(status.signal(), Some(signal.as_raw()), "{habit}");
            assert!(has_ended(child.id()), "{habit}");
        }
        Ok(())
    }
}
