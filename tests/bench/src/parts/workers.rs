//! The server with two workers beside the server with one.

use anyhow::{Context, Result};

use crate::load::Protocol;
use crate::measure::{Bench, SHAPES, Shape};
use crate::roster::Recipe;
use crate::statistics::Pair;
use crate::table::Table;

/// Measures the server; returns the table.
pub(crate) fn run(bench: &Bench, server: &Recipe) -> Result<String> {
    let bench = bench.on_two_cores();
    let mut pairs: [Pair; SHAPES.len()] = Default::default();
    for round in 1..=bench.rounds.get() {
        for (shape, pair) in SHAPES.into_iter().zip(&mut pairs) {
            let one = cost(&bench, server, "1", shape)?;
            let two = cost(&bench, server, "2", shape)?;
            eprintln!("workers: {shape}: {one:.2} µs a ping with one, {two:.2} with two");
            pair.push(one, two);
        }
        eprintln!("workers: round {round} of {} is done", bench.rounds);
    }
    Ok(report(&bench, &pairs))
}

fn cost(bench: &Bench, server: &Recipe, workers: &str, shape: Shape) -> Result<f64> {
    let program = bench.start(server, &[("WORKERS", workers.as_ref())])?;
    bench
        .cost(&program, &program.target(Protocol::WebSocket), shape)
        .with_context(|| format!("{workers} workers, {shape}"))
}

fn report(bench: &Bench, pairs: &[Pair]) -> String {
    let mut table = Table::new(["CPU µs a ping", "1 worker", "2 workers", "ratio"]);
    for (shape, pair) in SHAPES.iter().zip(pairs) {
        table.row(pair.row(shape.to_string(), 1.0, 2));
    }
    let cores = format!("The server may use {} either way.", bench.cores.programs());
    format!("### Two workers\n\n{}\n\n{table}", bench.describe(&cores))
}
