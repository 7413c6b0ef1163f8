//! After how long without traffic a connection is cut, and what keeps it alive.
//!
//! A first connection finds out what the server can do ([`capabilities`]). Then connections with
//! different traffic ([`kind`]) are open side by side ([`plan`], [`lane`]), and with them a ladder:
//! silent connections of which each asks, with one ping, after another length of silence. What is
//! observed of each ([`observed`], [`observations`]) is interpreted by pure functions
//! ([`mod@infer`]), which also decide when the probe is over ([`progress`]). The server may know how
//! connections ended ([`server_view`]). The result is a [`verdict`].

mod capabilities;
mod infer;
mod kind;
mod lane;
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

use super::report::{Finding, Printer, Report};
use crate::net::Endpoint;
use crate::verdict::Verdict;
use capabilities::{Capabilities, discover};
use infer::{Inference, infer};
use lane::{Shared, Stage};
use observations::Observations;
use observed::Observed;
use plan::Lane;
use progress::{Next, Progress, next};
use server_view::ServerView;
use verdict::{Case, Fields, finding};

/// Name of the probe.
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
/// Why the client itself cannot do it.
pub async fn run(options: Options, mut stop: Stop) -> Result<Verdict, String> {
    options.endpoint.warn_if_unchecked();
    let mut report = Report::open(options.json)?;
    let printer = report.printer();
    let server = select! {
        server = discover(&options, &printer) => server,
        () = report.over(&mut stop) => Err("stopped before anything could be measured".into()),
    };
    let finding = match server {
        Ok(server) => {
            let observations = &Observations::new();
            let (options, server, printer) = (&options, &server, &printer);
            let run = Run { options, server, observations, printer };
            run.measure(&mut report, &mut stop).await
        }
        Err(text) => Finding { probe: NAME, ok: None, text, fields: Fields::default() },
    };
    report.finish(finding).await
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
    async fn measure(&self, report: &mut Report, stop: &mut Stop) -> Finding<Fields> {
        let Self { options, server, observations, printer } = self;
        printer.line(&show::beginning(&options.endpoint.url, &server.plan)).await;
        let (server_view, is_stopped) = select! {
            server_view = self.observe() => (server_view, false),
            () = report.over(stop) => (None, true),
        };
        let (all, now) = (observations.lanes().clone(), observations.now());
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
        let open = |lane| lane::run(shared.clone(), lane);
        let mut lanes: FuturesUnordered<_> = server.plan.lanes().into_iter().map(open).collect();
        self.observe_until_clear(&mut lanes, open).await;
        stage.send_replace(Stage::Asking);
        while observations.lanes().iter().any(Observed::is_open) {
            self.next_end(&mut lanes).await;
        }
        let server_view = match server.plan.is_probe {
            true => self.ask_server().await,
            false => None,
        };
        stage.send_replace(Stage::Closing);
        let closing = async {
            while !lanes.is_empty() {
                self.next_end(&mut lanes).await;
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
        lanes: &mut FuturesUnordered<L>,
        open: impl Fn(Lane) -> L,
    ) {
        let Self { observations, printer, .. } = self;
        let plan = &self.server.plan;
        let (mut is_refined, mut is_told) = (false, false);
        loop {
            self.next_end(lanes).await;
            let now = observations.now();
            let is_opening = observations.tried() < plan.lanes().len();
            let found = infer(&observations.lanes(), now);
            printer.live(show::live(&observations.lanes(), &found, plan, now));
            if !is_told && let Some(line) = show::server_pings(&found) {
                printer.line(&line).await;
                is_told = true;
            }
            let progress = Progress { now, is_opening, is_refined };
            let next = next(&found, &observations.lanes(), plan, progress);
            match next {
                Next::Wait => {}
                Next::Refine(further) => {
                    is_refined = true;
                    lanes.extend(further.into_iter().map(&open));
                }
                Next::Finish => return,
            }
        }
    }

    /// Waits for the end of a connection and prints it, but no longer than a [`TICK`].
    async fn next_end(&self, lanes: &mut FuturesUnordered<impl Future<Output = Option<usize>>>) {
        match timeout(TICK, lanes.next()).await {
            Ok(Some(Some(lane))) => show::record(self.printer, self.observations, lane).await,
            // All connections have ended.
            Ok(None) => sleep(TICK).await,
            Ok(Some(None)) | Err(_) => {}
        }
    }

    /// Asks the server how the connections behind the verdict ended.
    async fn ask_server(&self) -> Option<ServerView> {
        let Self { options, observations, .. } = self;
        let lanes = match infer(&observations.lanes(), observations.now()) {
            Inference { idle: Some(idle), .. } => idle.lanes,
            Inference { lifetime: Some(lifetime), .. } => lifetime.lanes,
            Inference { instant: Some(instant), .. } => instant.lanes,
            Inference { .. } => return None,
        };
        let numbers: Vec<_> = {
            let all = observations.lanes();
            lanes.iter().filter_map(|&lane| all[lane].number.clone()).collect()
        };
        server_view::ask(&options.endpoint, options.patience, &numbers).await
    }
}

#[cfg(test)]
mod tests;
