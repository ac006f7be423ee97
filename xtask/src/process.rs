//! Facts about a process (Linux).

use std::fs;

use anyhow::{Context as _, Result};

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
