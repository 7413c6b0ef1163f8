//! The processor cores: which of them the programs have, and which one the load.

use std::fs;
use std::io;
use std::thread;

use anyhow::{Context, Result, bail};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores that this process may use, shared out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cores {
    all: Vec<usize>,
    /// The cores of the measured program.
    pub(crate) program: Vec<usize>,
    /// The core of the load.
    load: usize,
}

impl Cores {
    pub(crate) fn find() -> Result<Self> {
        let allowed = sched_getaffinity(None).context("cannot ask for the cores")?;
        let cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect();
        let Some(shared) = Self::share(cores, siblings) else { bail!("there are no cores") };
        Ok(shared)
    }

    /// One core for programs, and for the load one that shares no hardware with it, if there is.
    fn share(all: Vec<usize>, siblings: impl Fn(usize) -> Vec<usize>) -> Option<Self> {
        let program = *all.first()?;
        let near = siblings(program);
        let others = || all.iter().copied().skip(1);
        let load = others().find(|core| !near.contains(core)).or_else(|| others().next());
        Some(Self { program: vec![program], load: load.unwrap_or(program), all })
    }

    /// Two cores for a program, if the load leaves as many free: a worker that shares the core of
    /// the load is woken for every few pings, and its cost is that of waking.
    pub(crate) fn for_two(&self) -> Self {
        let is_free = |core: &&usize| !self.program.contains(core) && **core != self.load;
        let mut program = self.program.clone();
        program.extend(self.all.iter().find(is_free));
        Self { program, ..self.clone() }
    }

    /// Cores that neither a program nor the load has; the load's if all are taken.
    fn spare(&self) -> Vec<usize> {
        let is_free = |core: &usize| !self.program.contains(core) && *core != self.load;
        let spare: Vec<_> = self.all.iter().copied().filter(is_free).collect();
        if spare.is_empty() { vec![self.load] } else { spare }
    }

    /// Moves the calling thread, which makes the load, to its core.
    pub(crate) fn take_load_core(&self) -> Result<()> {
        pin(&[self.load]).context("cannot move the load to its core")
    }

    /// Moves the calling thread to cores where it disturbs neither program nor load, if there are any.
    pub(crate) fn take_spare_core(&self) -> io::Result<()> {
        pin(&self.spare())
    }

    /// Runs `start` on the cores of the programs. A process that it starts stays there.
    pub(crate) fn at_program<T: Send>(
        &self,
        start: impl FnOnce() -> io::Result<T> + Send,
    ) -> io::Result<T> {
        let started = thread::scope(|scope| {
            let pinned = || pin(&self.program).and_then(|()| start());
            scope.spawn(pinned).join()
        });
        started.unwrap_or_else(|_| Err(io::Error::other("the thread that starts it panicked")))
    }

    /// The cores, for the line that names the machine.
    pub(crate) fn describe(&self) -> String {
        let (cores, program, load) = (self.all.len(), self.program[0], self.load);
        if program == load {
            return "only one core, which programs and load share: read the figures with care"
                .into();
        }
        format!("{cores} cores (programs on core {program}, load on core {load})")
    }

    /// Whether a program has to share its core with the load.
    pub(crate) fn is_shared(&self) -> bool {
        self.program.contains(&self.load)
    }

    /// The cores of the programs, such as `core 0` or `cores 0 and 2`.
    pub(crate) fn programs(&self) -> String {
        let cores: Vec<_> = self.program.iter().map(ToString::to_string).collect();
        format!("core{} {}", if cores.len() == 1 { "" } else { "s" }, cores.join(" and "))
    }
}

/// Moves the calling thread.
fn pin(cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|&core| set.set(core));
    Ok(sched_setaffinity(None, &set)?)
}

/// Logical cores of the same physical one, itself included; none where the system does not tell.
fn siblings(core: usize) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
    fs::read_to_string(path).map(|list| numbers(&list)).unwrap_or_default()
}

/// Reads a list like `0-1,8`.
fn numbers(list: &str) -> Vec<usize> {
    let ranges = list.trim().split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    });
    ranges.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(cores: &[usize], siblings: &[usize]) -> Cores {
        Cores::share(cores.to_vec(), |_| siblings.to_vec()).unwrap()
    }

    #[test]
    fn lists_of_cores() {
        assert_eq!(numbers("0\n"), [0]);
        assert_eq!(numbers("0-2,8,10-11"), [0, 1, 2, 8, 10, 11]);
        assert!(numbers("").is_empty());
    }

    #[test]
    fn the_load_is_on_another_core() {
        assert_eq!(share(&[0, 1], &[0]).load, 1);
        assert_eq!(share(&[0, 1, 2], &[0, 1]).load, 2);
        assert_eq!(share(&[0, 1], &[0, 1]).load, 1);
        assert_eq!(share(&[3], &[3]).load, 3);
        assert_eq!(Cores::share(Vec::new(), siblings), None);
    }

    #[test]
    fn two_cores_spare_the_load() {
        assert_eq!(share(&[0, 1, 2], &[0]).for_two().program, [0, 2]);
        assert_eq!(share(&[0, 1], &[0]).for_two().program, [0]);
        assert_eq!(share(&[0], &[0]).for_two().program, [0]);
    }

    #[test]
    fn other_threads_get_the_remaining_cores() {
        assert_eq!(share(&[0, 1, 2], &[0]).spare(), [2]);
        assert_eq!(share(&[0, 1], &[0]).spare(), [1]);
    }
}
