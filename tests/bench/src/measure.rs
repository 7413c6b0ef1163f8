//! The measurements of a program.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fmt;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::cores::Cores;
use crate::load::{Length, Load, Measured, Protocol, Target};
use crate::program::Program;
use crate::roster::Recipe;
use crate::stop::Stop;
use crate::usage;

/// Connections that are held idle, to see what memory each takes.
pub(crate) const IDLE: usize = 10_000;

/// Memory counts as settled when it stayed the same for this long.
const SETTLED: Duration = Duration::from_millis(200);

/// Time for memory to settle.
const SETTLING: Duration = Duration::from_secs(5);

/// Percent of a core that other processes may take without a warning: the system counts no more
/// precisely.
const TOLERATED: f64 = 10.0;

/// Connections, and how many pings each has in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    pub(crate) in_flight: u32,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {}", self.connections, self.in_flight)
    }
}

/// The loads at which programs are compared.
pub(crate) const SHAPES: [Shape; 3] = [
    Shape { connections: 64, in_flight: 1 },
    Shape { connections: 64, in_flight: 16 },
    Shape { connections: 5000, in_flight: 1 },
];

/// The cores, durations and rounds of the measurements.
#[derive(Clone, Debug)]
pub(crate) struct Bench {
    pub(crate) cores: Cores,
    pub(crate) length: Length,
    pub(crate) rounds: NonZeroU32,
    pub(crate) stop: Stop,
    /// The largest share that other processes had of the programs' first core.
    pub(crate) disturbance: Cell<f64>,
}

impl Bench {
    /// Starts a program, with further variables, and moves the load to its core.
    pub(crate) fn start(&self, recipe: &Recipe, variables: &[(&str, &OsStr)]) -> Result<Program> {
        self.stop.check()?;
        self.cores.take_load_core()?;
        Program::start(recipe, variables, &self.cores, &self.stop)
    }

    /// This benchmark, with two cores for programs.
    pub(crate) fn on_two_cores(&self) -> Self {
        Self { cores: self.cores.for_two(), ..self.clone() }
    }

    /// The line above a table, which says what its figures are.
    pub(crate) fn describe(&self, loads: &str) -> String {
        let Self { rounds, length: Length { measured, .. }, .. } = self;
        format!("Median (smallest–largest); rounds: {rounds}, of {measured:?} each. {loads}")
    }

    /// Processor time of a program for a ping, in microseconds.
    pub(crate) fn cost(&self, program: &Program, target: &Target, shape: Shape) -> Result<f64> {
        self.load(program, target, shape.connections, |load| {
            self.cost_under(load, program, target, shape.in_flight)
        })
    }

    /// Processor time of a program for a ping over connections that are open, in microseconds.
    pub(crate) fn cost_under(
        &self,
        load: &mut Load,
        program: &Program,
        target: &Target,
        in_flight: u32,
    ) -> Result<f64> {
        let read = || Ok((program.cpu()?, usage::worked(self.cores.program[0])?));
        let Measured { replies, start, end } = load.run(in_flight, self.length, read)?;
        if !matches!(target.protocol, Protocol::Tcp) {
            program.check_log(replies)?;
        }
        let (cpu, worked) = (end.0 - start.0, end.1.saturating_sub(start.1));
        let others = worked.saturating_sub(cpu).as_secs_f64() / self.length.measured.as_secs_f64();
        self.disturbance.set(self.disturbance.get().max(others));
        Ok(cpu.as_secs_f64() * 1e6 / replies as f64)
    }

    /// A warning if the programs did not have their core for themselves.
    pub(crate) fn warning(&self) -> Option<String> {
        let percent = self.disturbance.get() * 100.0;
        (percent > TOLERATED && !self.cores.is_shared()).then(|| {
            format!(
                "Other processes took up to {percent:.0}% of the programs' core while it was measured: \
                 measure again when the machine is quiet.\n"
            )
        })
    }

    /// Memory of a program for a connection that does nothing, in bytes.
    pub(crate) fn idle(&self, program: &Program, target: &Target) -> Result<f64> {
        let before = self.settled(program)?;
        self.load(program, target, IDLE, |_| {
            let grown = self.settled(program)?.saturating_sub(before);
            Ok(grown as f64 / IDLE as f64)
        })
    }

    /// Opens connections to a program, and measures something over them.
    pub(crate) fn load<T>(
        &self,
        program: &Program,
        target: &Target,
        connections: usize,
        measure: impl FnOnce(&mut Load) -> Result<T>,
    ) -> Result<T> {
        let measured =
            Load::open(target, connections, &self.stop).and_then(|mut load| measure(&mut load));
        self.stop.check()?;
        measured.map_err(|error| anyhow!("{error:#}; its last words: {}", program.last_words()))
    }

    /// Memory of a program in bytes, once that no longer changes.
    fn settled(&self, program: &Program) -> Result<u64> {
        let deadline = Instant::now() + SETTLING;
        let mut memory = program.memory()?;
        while Instant::now() < deadline {
            program.runs_for(SETTLED, &self.stop)?;
            let now = program.memory()?;
            if now == memory {
                break;
            }
            memory = now;
        }
        Ok(memory)
    }
}
