//! The resources that a process and its children use, from `/proc`.

use std::time::Duration;

use anyhow::{Context, Result};
use procfs::process::Process;
use procfs::{CurrentSI, KernelStats, ProcResult};

/// Processor time, user and system, of all threads; in steps of a clock tick, 10 ms as a rule.
pub(crate) fn cpu(pid: i32) -> Result<Duration> {
    let ticks = total(pid, |process| {
        let stat = process.stat()?;
        // Times of children count once they have ended and were waited for.
        let ended = (stat.cutime + stat.cstime).max(0).unsigned_abs();
        Ok(stat.utime + stat.stime + ended)
    });
    seconds(ticks.context("cannot read the processor time")?)
}

/// Memory that is resident, in bytes.
pub(crate) fn memory(pid: i32) -> Result<u64> {
    let kilobytes = total(pid, |process| Ok(process.status()?.vmrss.unwrap_or(0)));
    Ok(kilobytes.context("cannot read the memory")? * 1024)
}

/// Time that a core was busy, time stolen by other guests of the machine included.
pub(crate) fn worked(core: usize) -> Result<Duration> {
    let stat = KernelStats::current().context("cannot read /proc/stat")?;
    let time = stat.cpu_time.get(core).with_context(|| format!("there is no core {core}"))?;
    let ticks = time.user + time.nice + time.system + time.steal.unwrap_or(0);
    seconds(ticks)
}

fn seconds(ticks: u64) -> Result<Duration> {
    Ok(Duration::from_secs(ticks) / u32::try_from(procfs::ticks_per_second())?)
}

/// Sums up over a process and all below it.
fn total(pid: i32, read: impl Fn(&Process) -> ProcResult<u64>) -> Result<u64> {
    let [own, children @ ..] = &family(pid)?[..] else { return Ok(0) };
    // A child may end meanwhile.
    Ok(read(own)? + children.iter().filter_map(|child| read(child).ok()).sum::<u64>())
}

/// A process and all below it.
fn family(pid: i32) -> Result<Vec<Process>> {
    let mut family = vec![Process::new(pid).context("the process is gone")?];
    let mut next = 0;
    while let Some(process) = family.get(next) {
        let children = children(process);
        family.extend(children);
        next += 1;
    }
    Ok(family)
}

fn children(process: &Process) -> Vec<Process> {
    // Threads and children may end meanwhile.
    let tasks = process.tasks().into_iter().flatten().flatten();
    let children = tasks.flat_map(|task| task.children().unwrap_or_default());
    children.filter_map(|pid| Process::new(i32::try_from(pid).ok()?).ok()).collect()
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
