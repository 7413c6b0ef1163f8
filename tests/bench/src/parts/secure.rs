//! wss:// beside ws://, at the same server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::load::{Protocol, Target, trusting};
use crate::measure::{Bench, Shape};
use crate::program::{Program, free_address};
use crate::roster::Recipe;
use crate::statistics::Pair;
use crate::table::Table;

/// The loads at which both are compared.
const SHAPES: [Shape; 2] =
    [Shape { connections: 64, in_flight: 1 }, Shape { connections: 64, in_flight: 16 }];

/// Measures the server; returns the table.
pub(crate) fn run(bench: &Bench, server: &Recipe) -> Result<String> {
    let folder = TempDir::with_prefix("bench-tls-").context("cannot make a temporary folder")?;
    let (mut costs, mut idle): ([Pair; SHAPES.len()], _) = (Default::default(), Pair::default());
    for round in 1..=bench.rounds.get() {
        for (shape, pair) in SHAPES.into_iter().zip(&mut costs) {
            let both = Both::start(bench, server, folder.path())?;
            let plain = bench.cost(&both.program, &both.plain(), shape)?;
            let secure = bench.cost(&both.program, &both.secure()?, shape)?;
            eprintln!("secure: {shape}: {plain:.2} µs a ping, through TLS {secure:.2}");
            pair.push(plain, secure);
        }
        // Each in a process of its own: memory that the first has given back would serve the second.
        let both = Both::start(bench, server, folder.path())?;
        let plain = bench.idle(&both.program, &both.plain())?;
        let both = Both::start(bench, server, folder.path())?;
        let secure = bench.idle(&both.program, &both.secure()?)?;
        idle.push(plain, secure);
        eprintln!("secure: round {round} of {} is done", bench.rounds);
    }
    Ok(report(bench, &costs, &idle))
}

/// A server at two ports.
struct Both {
    program: Program,
    secure: SocketAddr,
    authority: PathBuf,
}

impl Both {
    /// Starts a server with its certificate in `folder`; the server makes one if there is none.
    fn start(bench: &Bench, server: &Recipe, folder: &Path) -> Result<Self> {
        let secure = free_address()?;
        let listen = secure.to_string();
        let variables = [("TLS_DIR", folder.as_os_str()), ("TLS_LISTEN", listen.as_ref())];
        let program = bench.start(server, &variables)?;
        program.wait_for(secure, &bench.stop)?;
        Ok(Self { program, secure, authority: folder.join("ca.pem") })
    }

    fn plain(&self) -> Target {
        self.program.target(Protocol::WebSocket)
    }

    fn secure(&self) -> Result<Target> {
        let protocol = Protocol::SecureWebSocket(trusting(&self.authority)?);
        Ok(Target { address: self.secure, protocol })
    }
}

fn report(bench: &Bench, costs: &[Pair], idle: &Pair) -> String {
    let mut table = Table::new(["server", "ws://", "wss://", "ratio"]);
    for (shape, pair) in SHAPES.iter().zip(costs) {
        table.row(pair.row(format!("CPU µs a ping, {shape}"), 1.0, 2));
    }
    table.row(idle.row("idle connection, kB".into(), 1e-3, 1));
    format!(
        "### Through TLS\n\n{}\n\n{table}",
        bench.describe(
            "One server at both ports; TLS 1.3, each connection with a handshake of its own."
        ),
    )
}
