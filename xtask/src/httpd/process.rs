//! httpd's parent process with all its descendants.

use std::fs;
use std::process::{Child, Command, ExitStatus};

use anyhow::{Context, Result};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};

use crate::command;

/// A process group whose leader is our child. Dropping it kills the group.
///
/// Until the leader has been reaped, the system does not reuse its number for another process or
/// group. So a signal can only reach processes that we started.
#[derive(Debug)]
pub(super) struct ProcessGroup {
    leader: Child,
    exit: Option<ExitStatus>,
}

impl ProcessGroup {
    /// Runs `command`, which must request its own process group.
    pub(super) fn spawn(mut command: Command) -> Result<Self> {
        let leader = command
            .spawn()
            .with_context(|| format!("cannot run `{}`", command::line(&command)))?;
        Ok(Self { leader, exit: None })
    }

    pub(super) fn leader(&self) -> u32 {
        self.leader.id()
    }

    pub(super) fn signal_leader(&self, signal: Signal) -> Result<()> {
        anyhow::ensure!(!self.leader_has_ended(), "httpd has ended");
        kill_process(self.pid(), signal).context("cannot signal httpd")
    }

    /// Whether the leader has ended. This does not reap it.
    pub(super) fn leader_has_ended(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.exit.is_some() || !matches!(waitid(WaitId::Pid(self.pid()), look), Ok(None))
    }

    /// Kills the rest of the group and waits for the leader.
    pub(super) fn reap(&mut self) -> Result<ExitStatus> {
        if let Some(exit) = self.exit {
            return Ok(exit);
        }
        // An error only means that the group is empty.
        let _ = kill_process_group(self.pid(), Signal::KILL);
        let exit = self.leader.wait()?;
        self.exit = Some(exit);
        Ok(exit)
    }

    /// The direct children of the leader.
    #[cfg(target_os = "linux")]
    pub(super) fn children(&self) -> Result<Vec<u32>> {
        let mut children = Vec::new();
        for entry in fs::read_dir("/proc").context("cannot list the processes")? {
            let Ok(pid) = entry?.file_name().to_string_lossy().parse() else {
                continue;
            };
            // The process may have ended meanwhile.
            let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
                continue;
            };
            if parent_in_stat(&stat) == Some(self.leader()) {
                children.push(pid);
            }
        }
        children.sort_unstable();
        Ok(children)
    }

    /// The direct children of the leader.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn children(&self) -> Result<Vec<u32>> {
        let list = command::output_of(Command::new("ps").args(["-A", "-o", "pid=,ppid="]))?;
        let pairs = list
            .lines()
            .filter_map(|line| line.trim().split_once(char::is_whitespace));
        let ours = pairs.filter(|(_, parent)| parent.trim().parse() == Ok(self.leader()));
        Ok(ours.filter_map(|(pid, _)| pid.parse().ok()).collect())
    }

    /// Whether no thread of the children computes, or waits for its turn to. Only Linux tells.
    pub(super) fn are_children_at_rest(&self) -> Result<bool> {
        let mut states = self.children()?.into_iter().flat_map(states_of_threads);
        Ok(states.all(|state| !matches!(state, 'R' | 'D')))
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.leader)
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // The only error is that another caller has already waited for the leader.
        let _ = self.reap();
    }
}

/// The states of a process's threads (proc_pid_stat(5)), of which some may have ended meanwhile.
fn states_of_threads(pid: u32) -> Vec<char> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    let stats = threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| {
            let stat = fs::read_to_string(thread.path().join("stat")).ok()?;
            let (_, after_name) = stat.rsplit_once(')')?;
            after_name.trim_start().chars().next()
        });
    stats.collect()
}

/// The parent's number in a line of `/proc/PID/stat`. It is the second field after the program's
/// name, which is in parentheses and may contain any character.
#[cfg(target_os = "linux")]
fn parent_in_stat(stat: &str) -> Option<u32> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_thread_computes_and_no_threads_are_no_error() {
        assert!(states_of_threads(std::process::id()).contains(&'R'));
        assert!(states_of_threads(0).is_empty());
    }

    #[test]
    fn the_parent_is_found_after_any_program_name() {
        for (stat, parent) in [
            ("17 (apache2) S 16 17 17 0", Some(16)),
            ("17 (a) b ) 3) R 1 17 17 0", Some(1)),
            ("17", None),
        ] {
            assert_eq!(parent_in_stat(stat), parent, "{stat}");
        }
    }
}
