//! What the system says about a process (Linux).

use std::fs;

use anyhow::{Context as _, Result};

/// Processor time used so far, in clock ticks (usually 10 ms each).
pub(crate) fn cpu_ticks(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold blanks; user and system time are fields 14 and 15.
    let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
    let times = fields.split_whitespace().skip(11).take(2);
    Ok(times.map(str::parse::<u64>).sum::<Result<_, _>>()?)
}

/// Resident memory, in KiB.
pub(crate) fn resident_kib(pid: u32) -> Result<u64> {
    memory_kib(pid, "VmRSS:")
}

/// The most resident memory there has been, in KiB.
pub(crate) fn peak_resident_kib(pid: u32) -> Result<u64> {
    memory_kib(pid, "VmHWM:")
}

fn memory_kib(pid: u32, name: &'static str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context(name)?.parse()?)
}

/// Open descriptors.
pub(crate) fn descriptors(pid: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}
