//! The server with two workers beside the server with one.

use anyhow::{Context, Result};

use crate::load::Protocol;
use crate::measure::{Bench, SHAPES, Shape};
use crate::roster::Recipe;
use crate::statistics::Samples;
use crate::table::Table;

/// At one load.
#[derive(Default)]
struct Row {
    one: Samples,
    two: Samples,
    ratio: Samples,
}

/// Measures the server and shows it.
pub(crate) fn run(bench: &Bench, server: &Recipe) -> Result<String> {
    let bench = bench.on_two_cores();
    let mut rows: [Row; SHAPES.len()] = Default::default();
    for round in 1..=bench.rounds.get() {
        for (shape, row) in SHAPES.into_iter().zip(&mut rows) {
            let one = cost(&bench, server, "1", shape)?;
            let two = cost(&bench, server, "2", shape)?;
            eprintln!("workers: {shape}: {one:.2} µs a ping with one, {two:.2} with two");
            row.one.push(one);
            row.two.push(two);
            row.ratio.push(two / one);
        }
        eprintln!("workers: round {round} of {} is done", bench.rounds);
    }
    Ok(report(&bench, &rows))
}

fn cost(bench: &Bench, server: &Recipe, workers: &str, shape: Shape) -> Result<f64> {
    let program = bench.start(server, &[("WORKERS", workers.as_ref())])?;
    bench
        .cost(&program, &program.target(Protocol::WebSocket), shape)
        .with_context(|| format!("{workers} workers, {shape}"))
}

fn report(bench: &Bench, rows: &[Row]) -> String {
    let mut table = Table::new(["CPU µs a ping", "1 worker", "2 workers", "ratio"]);
    for (shape, Row { one, two, ratio }) in SHAPES.iter().zip(rows) {
        table.row([shape.to_string(), one.show(2), two.show(2), ratio.show(2)]);
    }
    let cores = format!("The server may use {} either way.", bench.place.programs());
    format!("### Two workers\n\n{}\n\n{table}", bench.describe(&cores))
}
