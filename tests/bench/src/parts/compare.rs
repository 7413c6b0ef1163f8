//! The server beside the floor and its peers.

use anyhow::{Context, Result};

use crate::load::Protocol;
use crate::measure::{Bench, IDLE, SHAPES, Shape};
use crate::roster::{self, Peers, Recipe};
use crate::settings::{Name, Settings};
use crate::statistics::Samples;
use crate::table::Table;

/// A program and its measured costs.
struct Contender {
    recipe: Recipe,
    protocol: Protocol,
    costs: [Cost; SHAPES.len()],
    /// Bytes an idle connection.
    idle: Samples,
}

/// The cost of a ping at one load.
#[derive(Default)]
struct Cost {
    microseconds: Samples,
    /// Ratio to the floor of the same round.
    ratio: Samples,
}

/// Builds and measures the programs; returns the table.
pub(crate) fn run(bench: &Bench, settings: &Settings, server: &Recipe) -> Result<String> {
    let floor = roster::floor(&bench.stop)?;
    let Peers { found, left_out } = roster::peers(settings, &bench.stop)?;
    let mut contenders = vec![Contender::new(floor, Protocol::Tcp)];
    if settings.includes(Name::Server) {
        contenders.push(Contender::new(server.clone(), Protocol::WebSocket));
    }
    contenders.extend(found.into_iter().map(|peer| Contender::new(peer, Protocol::WebSocket)));
    for round in 1..=bench.rounds.get() {
        for (number, shape) in SHAPES.into_iter().enumerate() {
            measure_costs(bench, &mut contenders, number, shape)?;
        }
        measure_idle(bench, &mut contenders)?;
        eprintln!("compare: round {round} of {} is done", bench.rounds);
    }
    Ok(report(bench, &contenders, &left_out))
}

/// One load on each program in turn, the floor first.
fn measure_costs(
    bench: &Bench,
    contenders: &mut [Contender],
    number: usize,
    shape: Shape,
) -> Result<()> {
    let mut floor = None;
    for contender in contenders {
        let name = contender.recipe.name;
        let program = bench.start(&contender.recipe, &[])?;
        let cost = bench
            .cost(&program, &program.target(contender.protocol.clone()), shape)
            .with_context(|| format!("{name}, {shape}"))?;
        eprintln!("compare: {shape}: {name} {cost:.2} µs a ping");
        let floor = *floor.get_or_insert(cost);
        contender.costs[number].microseconds.push(cost);
        contender.costs[number].ratio.push(cost / floor);
    }
    Ok(())
}

fn measure_idle(bench: &Bench, contenders: &mut [Contender]) -> Result<()> {
    // The floor, a TCP echo, keeps nothing for a connection.
    for contender in &mut contenders[1..] {
        let name = contender.recipe.name;
        let program = bench.start(&contender.recipe, &[])?;
        let idle = bench
            .idle(&program, &program.target(contender.protocol.clone()))
            .with_context(|| format!("{name}, {IDLE} idle connections"))?;
        eprintln!("compare: {name} {idle:.0} bytes an idle connection");
        contender.idle.push(idle);
    }
    Ok(())
}

impl Contender {
    fn new(recipe: Recipe, protocol: Protocol) -> Self {
        Self { recipe, protocol, costs: Default::default(), idle: Samples::default() }
    }

    fn row(&self) -> Vec<String> {
        let mut row = vec![self.recipe.name.to_owned()];
        for cost in &self.costs {
            row.extend([cost.microseconds.show(2), cost.ratio.show(2)]);
        }
        row.push(self.idle.scaled(1e-3).show(1));
        row
    }
}

fn report(bench: &Bench, contenders: &[Contender], left_out: &[String]) -> String {
    let mut head = vec!["program".to_owned()];
    head.extend(SHAPES.iter().flat_map(|shape| [format!("{shape}, µs"), "× floor".into()]));
    head.push("idle connection, kB".into());
    let mut table = Table::new(head);
    contenders.iter().for_each(|contender| table.row(contender.row()));
    let versions: Vec<_> = contenders
        .iter()
        .map(|Contender { recipe, .. }| format!("{} {}", recipe.name, recipe.version))
        .filter(|version| !version.ends_with(' '))
        .collect();
    let left_out: String = left_out.iter().map(|remedy| format!("\n{remedy}")).collect();
    format!(
        "### Processor time a ping\n\n{}\n\n{table}\nVersions: {}.{left_out}\n",
        bench.describe("Each load is connections × pings in flight on each."),
        versions.join(", "),
    )
}
