//! After how long without traffic a connection is cut, and what keeps it alive.
//!
//! A first connection finds out what the server can do ([`capabilities`]). Then connections with
//! different traffic ([`kind`]) are open side by side ([`plan`], [`connection`]), and with them
//! silent connections of which each asks, with one ping, after another length of silence. The
//! observations of each ([`observed`], [`observations`]) are interpreted by pure functions
//! ([`mod@infer`]), which also decide when the probe is over ([`progress`]). The server may know how
//! connections ended ([`server_view`]). The result is a [`verdict`].

mod capabilities;
mod connection;
mod infer;
mod kind;
mod observations;
mod observed;
mod plan;
mod progress;
mod server_view;
mod show;
mod verdict;

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use program::stop::Stop;
use tokio::select;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::output::{Finding, Printer, ProbeOutput};
use crate::net::Endpoint;
use crate::verdict::Verdict;
use capabilities::{Capabilities, discover};
use connection::{Shared, Stage};
use infer::{Inference, infer};
use observations::Observations;
use observed::Observed;
use plan::PlannedConnection;
use progress::{Next, Progress, next};
use server_view::ServerView;
use verdict::{Case, Fields, finding};

const NAME: &str = "idle";

/// How often the observations are interpreted.
const TICK: Duration = Duration::from_millis(100);

/// Longest wait for closing handshakes after the verdict is known.
const CLOSING: Duration = Duration::from_millis(500);

/// What to probe, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server.
    pub endpoint: Endpoint,
    /// Longest wait for an answer (`PONG_TIMEOUT`).
    pub patience: Duration,
    /// Longest timeout to look for.
    pub max: Duration,
    /// Prints one JSON object per line.
    pub json: bool,
}

/// Runs the probe.
///
/// # Errors
/// If the client itself cannot run the probe, for example because stdout cannot be written; the
/// error says why.
pub async fn run(options: Options, mut stop: Stop) -> Result<Verdict, String> {
    options.endpoint.warn_if_unchecked();
    let mut output = ProbeOutput::open(options.json)?;
    let printer = output.printer();
    let server = select! {
        server = discover(&options, &printer) => server,
        () = output.over(&mut stop) => Err("stopped before anything could be measured".into()),
    };
    let finding = match server {
        Ok(server) => {
            let observations = &Observations::new();
            let (options, server, printer) = (&options, &server, &printer);
            let run = Run { options, server, observations, printer };
            run.measure(&mut output, &mut stop).await
        }
        Err(text) => Finding { probe: NAME, ok: None, text, fields: Fields::default() },
    };
    output.finish(finding).await
}

/// A run of the probe against a server that could be reached.
struct Run<'a> {
    options: &'a Options,
    server: &'a Capabilities,
    observations: &'a Observations,
    printer: &'a Printer,
}

impl Run<'_> {
    /// Opens all connections, and waits for what becomes of them.
    async fn measure(&self, output: &mut ProbeOutput, stop: &mut Stop) -> Finding<Fields> {
        let Self { options, server, observations, printer } = self;
        printer.line(&show::beginning(&options.endpoint.url, &server.plan)).await;
        let (server_view, is_stopped) = select! {
            server_view = self.observe() => (server_view, false),
            () = output.over(stop) => (None, true),
        };
        let (all, now) = (observations.connections().clone(), observations.now());
        let found = infer(&all, now);
        for line in show::table(&all, now) {
            printer.line(&line).await;
        }
        let (count, cause) = observations.failures();
        finding(&Case {
            found: &found,
            all: &all,
            server,
            server_view: server_view.as_ref(),
            failures: (count, cause.as_deref()),
            now,
            is_stopped,
        })
    }

    /// Keeps the connections open until the observations suffice. Returns how the server saw the
    /// ends.
    async fn observe(&self) -> Option<ServerView> {
        let Self { options, server, observations, .. } = self;
        let (stage, current) = watch::channel(Stage::Watching);
        let shared = Shared {
            endpoint: &options.endpoint,
            plan: server.plan,
            patience: options.patience,
            observations,
            stage: current,
        };
        let open = |connection| connection::run(shared.clone(), connection);
        let mut connections: FuturesUnordered<_> =
            server.plan.connections().into_iter().map(open).collect();
        self.observe_until_clear(&mut connections, open).await;
        stage.send_replace(Stage::Asking);
        while observations.connections().iter().any(Observed::is_open) {
            self.next_end(&mut connections).await;
        }
        let server_view = match server.plan.is_probe {
            true => self.ask_server().await,
            false => None,
        };
        stage.send_replace(Stage::Closing);
        let closing = async {
            while !connections.is_empty() {
                self.next_end(&mut connections).await;
            }
        };
        // Connections still open after that are dropped without a closing handshake.
        let _ = timeout(CLOSING, closing).await;
        server_view
    }

    /// Watches the connections, and opens further ones where a closer look is needed, until waiting
    /// longer would show nothing new.
    async fn observe_until_clear<L: Future<Output = Option<usize>>>(
        &self,
        connections: &mut FuturesUnordered<L>,
        open: impl Fn(PlannedConnection) -> L,
    ) {
        let Self { observations, printer, .. } = self;
        let plan = &self.server.plan;
        let (mut is_refined, mut is_told) = (false, false);
        loop {
            self.next_end(connections).await;
            let now = observations.now();
            let is_opening = observations.tried() < plan.connections().len();
            let found = infer(&observations.connections(), now);
            printer.live(show::live(&observations.connections(), &found, plan, now));
            if !is_told && let Some(line) = show::server_pings(&found) {
                printer.line(&line).await;
                is_told = true;
            }
            let progress = Progress { now, is_opening, is_refined };
            let next = next(&found, &observations.connections(), plan, progress);
            match next {
                Next::Wait => {}
                Next::Refine(further) => {
                    is_refined = true;
                    connections.extend(further.into_iter().map(&open));
                }
                Next::Finish => return,
            }
        }
    }

    /// Waits for the end of a connection and prints it, but no longer than a [`TICK`].
    async fn next_end(
        &self,
        connections: &mut FuturesUnordered<impl Future<Output = Option<usize>>>,
    ) {
        match timeout(TICK, connections.next()).await {
            Ok(Some(Some(index))) => show::record(self.printer, self.observations, index).await,
            // All connections have ended.
            Ok(None) => sleep(TICK).await,
            Ok(Some(None)) | Err(_) => {}
        }
    }

    /// Asks the server how the connections behind the verdict ended.
    async fn ask_server(&self) -> Option<ServerView> {
        let Self { options, observations, .. } = self;
        let connections = match infer(&observations.connections(), observations.now()) {
            Inference { idle: Some(idle), .. } => idle.connections,
            Inference { lifetime: Some(lifetime), .. } => lifetime.connections,
            Inference { instant: Some(instant), .. } => instant.connections,
            Inference { .. } => return None,
        };
        let numbers: Vec<_> = {
            let all = observations.connections();
            connections.iter().filter_map(|&index| all[index].number.clone()).collect()
        };
        server_view::ask(&options.endpoint, options.patience, &numbers).await
    }
}

#[cfg(test)]
mod tests;
