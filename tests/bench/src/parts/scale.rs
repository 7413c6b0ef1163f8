//! How the server's cost grows with connections.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::load::{HANDSHAKES, Protocol};
use crate::measure::{Bench, Shape};
use crate::roster::Recipe;
use crate::statistics::Samples;
use crate::table::Table;

/// Numbers of connections. The last leaves a margin below a limit of 20,000 descriptors.
const CONNECTIONS: [usize; 5] = [1, 64, 1000, 5000, 19_000];

/// Connections that are made while the clock runs.
const ACCEPTED: usize = 10_000;

/// The measurements at one number of connections.
#[derive(Default)]
struct Row {
    microseconds: Samples,
    /// Memory of the whole process, in bytes.
    memory: Samples,
}

/// Accepting [`ACCEPTED`] connections.
#[derive(Default)]
struct Accepting {
    seconds: Samples,
    /// Processor time of each connection, in microseconds.
    microseconds: Samples,
}

/// Measures the server; returns the table.
pub(crate) fn run(bench: &Bench, server: &Recipe) -> Result<String> {
    let mut rows: [Row; CONNECTIONS.len()] = Default::default();
    let mut accepting = Accepting::default();
    for round in 1..=bench.rounds.get() {
        for (connections, row) in CONNECTIONS.into_iter().zip(&mut rows) {
            row.measure(bench, server, connections)
                .with_context(|| format!("{connections} connections"))?;
        }
        accepting.measure(bench, server)?;
        eprintln!("scale: round {round} of {} is done", bench.rounds);
    }
    Ok(report(bench, &rows, &accepting))
}

impl Row {
    fn measure(&mut self, bench: &Bench, server: &Recipe, connections: usize) -> Result<()> {
        let program = bench.start(server, &[])?;
        let shape = Shape { connections, in_flight: 1 };
        let target = program.target(Protocol::WebSocket);
        let (cost, memory) = bench.load(&program, &target, connections, |load| {
            Ok((bench.cost_under(load, &program, &target, shape.in_flight)?, program.memory()?))
        })?;
        eprintln!("scale: {shape}: {cost:.2} µs a ping, {memory} bytes");
        self.microseconds.push(cost);
        self.memory.push(memory as f64);
        Ok(())
    }
}

impl Accepting {
    fn measure(&mut self, bench: &Bench, server: &Recipe) -> Result<()> {
        let program = bench.start(server, &[])?;
        let target = program.target(Protocol::WebSocket);
        let (start, used) = (Instant::now(), program.cpu()?);
        let (time, cpu) = bench.load(&program, &target, ACCEPTED, |_| {
            Ok((start.elapsed().as_secs_f64(), program.cpu()? - used))
        })?;
        eprintln!("scale: {ACCEPTED} connections accepted in {time:.2} s");
        self.seconds.push(time);
        self.microseconds.push(cpu.as_secs_f64() * 1e6 / ACCEPTED as f64);
        Ok(())
    }
}

fn report(bench: &Bench, rows: &[Row], accepting: &Accepting) -> String {
    let mut table = Table::new(["connections", "CPU µs a ping", "memory of the server, MB"]);
    for (connections, row) in CONNECTIONS.into_iter().zip(rows) {
        let memory = row.memory.scaled(1e-6).show(1);
        table.row([connections.to_string(), row.microseconds.show(2), memory]);
    }
    format!(
        "### Cost and connections\n\n{}\n\n{table}\n\
         To accept {ACCEPTED} connections, upgrade included, with {HANDSHAKES} handshakes under way at \
         once from one thread: {} s, and {} µs of processor time each.\n",
        bench.describe("One ping in flight on each connection."),
        accepting.seconds.show(2),
        accepting.microseconds.show(1),
    )
}
