//! What a process uses, with the processes that it started, from `/proc`.

use std::time::Duration;

use anyhow::{Context, Result};
use procfs::process::Process;

/// Processor time, user and system, of all threads; in steps of a clock tick, 10 ms as a rule.
pub(crate) fn cpu(pid: i32) -> Result<Duration> {
    let mut ticks = 0;
    for process in family(pid)? {
        let stat = process.stat().context("cannot read the processor time")?;
        // Those of children count once they have ended and were waited for.
        let ended = (stat.cutime + stat.cstime).max(0).unsigned_abs();
        ticks += stat.utime + stat.stime + ended;
    }
    Ok(Duration::from_secs(ticks) / u32::try_from(procfs::ticks_per_second())?)
}

/// Memory that is resident, in bytes.
pub(crate) fn memory(pid: i32) -> Result<u64> {
    let mut kilobytes = 0;
    for process in family(pid)? {
        let status = process.status().context("cannot read the memory")?;
        kilobytes += status.vmrss.unwrap_or(0);
    }
    Ok(kilobytes * 1024)
}

/// A process and all below it.
fn family(pid: i32) -> Result<Vec<Process>> {
    let mut family = vec![Process::new(pid).context("the process is gone")?];
    let mut next = 0;
    while let Some(process) = family.get(next) {
        let children = children(process)?;
        family.extend(children);
        next += 1;
    }
    Ok(family)
}

fn children(process: &Process) -> Result<Vec<Process>> {
    let mut children = Vec::new();
    for task in process.tasks().context("the process is gone")?.flatten() {
        // A thread may end meanwhile, and a child too.
        for pid in task.children().unwrap_or_default() {
            children.extend(Process::new(i32::try_from(pid)?).ok());
        }
    }
    Ok(children)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_time() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(memory(pid).unwrap() > 100 * 1024);
        let start = cpu(pid).unwrap();
        while cpu(pid).unwrap() == start {}
    }

    #[test]
    fn children_count() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let family = family(pid).unwrap();
        let id = i32::try_from(child.id()).unwrap();
        assert!(family.iter().any(|process| process.pid() == id));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
