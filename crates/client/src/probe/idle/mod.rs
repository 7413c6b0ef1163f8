//! After how long without traffic a connection is cut, and what keeps the connection alive.
//!
//! A first connection finds out what the server can do ([`mod@scout`]). Then connections of different
//! traffic ([`kind`]) stand side by side ([`plan`], [`lane`]), and a ladder of silent ones that ask
//! once, each after another silence. What is seen of them ([`observed`], [`board`]) is interpreted
//! by pure functions ([`mod@infer`]), which also say when the probe is over ([`stage`]). The server may
//! know how connections ended ([`far_end`]). The result is a [`verdict`].

mod board;
mod far_end;
mod infer;
mod kind;
mod lane;
mod observed;
mod plan;
mod scout;
mod show;
mod stage;
mod verdict;

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use program::stop::Stop;
use tokio::select;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::report::{Finding, Printer, Report};
use crate::mode::Verdict;
use crate::net::Endpoint;
use board::Board;
use far_end::FarEnd;
use infer::{Inference, infer};
use lane::{Stage, Way};
use observed::Observed;
use plan::Lane;
use scout::{Scout, scout};
use stage::{Next, Progress, next};
use verdict::{Case, Fields, Judgement, judge};

/// Name of the probe.
const NAME: &str = "idle";

/// How often the observations are interpreted.
const TICK: Duration = Duration::from_millis(100);

/// Longest wait for connections to close after the verdict is known.
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
    let first = select! {
        first = scout(&options, &printer) => first,
        () = report.over(&mut stop) => Err("stopped before anything could be measured".into()),
    };
    let Judgement { ok, text, fields } = match first {
        Ok(scout) => measure(&options, &scout, &mut report, &printer, &mut stop).await,
        Err(text) => Judgement { ok: None, text, fields: Fields::default() },
    };
    report.finish(Finding { probe: NAME, ok, text, fields }).await
}

/// Opens all connections, and waits for what becomes of them.
async fn measure(
    options: &Options,
    scout: &Scout,
    report: &mut Report,
    printer: &Printer,
    stop: &mut Stop,
) -> Judgement {
    let board = Board::new();
    printer.line(&show::beginning(&options.endpoint.url, &scout.plan)).await;
    let (far_end, is_stopped) = select! {
        far_end = observe(options, scout, &board, printer) => (far_end, false),
        () = report.over(stop) => (None, true),
    };
    let (all, now) = (board.lanes().clone(), board.now());
    let found = infer(&all, now);
    for line in show::table(&all, now) {
        printer.line(&line).await;
    }
    let (count, cause) = board.failures();
    judge(&Case {
        found: &found,
        all: &all,
        scout,
        far_end: far_end.as_ref(),
        failures: (count, cause.as_deref()),
        now,
        is_stopped,
    })
}

/// Lets the connections live until the observations are enough. Returns how lost ones ended for the
/// server.
async fn observe(
    options: &Options,
    scout: &Scout,
    board: &Board,
    printer: &Printer,
) -> Option<FarEnd> {
    let (stage, is_at) = watch::channel(Stage::Watching);
    let way = Way {
        endpoint: &options.endpoint,
        plan: scout.plan,
        patience: options.patience,
        board,
        stage: is_at,
    };
    let open = |lane| lane::run(way.clone(), lane);
    let mut lanes: FuturesUnordered<_> = scout.plan.lanes().into_iter().map(open).collect();
    observe_until_clear(&mut lanes, open, scout, board, printer).await;
    stage.send_replace(Stage::Asking);
    while board.lanes().iter().any(Observed::is_open) {
        next_end(&mut lanes, board, printer).await;
    }
    let far_end = match scout.plan.is_probe {
        true => ask_far_end(options, board).await,
        false => None,
    };
    stage.send_replace(Stage::Closing);
    let closing = async {
        while !lanes.is_empty() {
            next_end(&mut lanes, board, printer).await;
        }
    };
    // What does not close by then is closed without a handshake.
    let _ = timeout(CLOSING, closing).await;
    far_end
}

/// Watches the connections, and opens further ones where it is worth a closer look, until waiting
/// longer would show nothing new.
async fn observe_until_clear<L: Future<Output = Option<usize>>>(
    lanes: &mut FuturesUnordered<L>,
    open: impl Fn(Lane) -> L,
    scout: &Scout,
    board: &Board,
    printer: &Printer,
) {
    let plan = &scout.plan;
    let mut progress = Progress { now: board.now(), is_opening: true, is_refined: false };
    let mut is_told = false;
    loop {
        next_end(lanes, board, printer).await;
        progress.now = board.now();
        progress.is_opening = board.tried() < plan.lanes().len();
        let found = infer(&board.lanes(), progress.now);
        printer.live(show::live(&board.lanes(), &found, plan, progress.now));
        if !is_told && let Some(line) = show::server_pings(&found) {
            printer.line(&line).await;
            is_told = true;
        }
        let next = next(&found, &board.lanes(), plan, progress);
        match next {
            Next::Wait => {}
            Next::Refine(further) => {
                progress.is_refined = true;
                lanes.extend(further.into_iter().map(&open));
            }
            Next::Finish => return,
        }
    }
}

/// Waits until a connection is over, and prints it, or for a [`TICK`].
async fn next_end(
    lanes: &mut FuturesUnordered<impl Future<Output = Option<usize>>>,
    board: &Board,
    printer: &Printer,
) {
    match timeout(TICK, lanes.next()).await {
        Ok(Some(Some(lane))) => show::record(printer, board, lane).await,
        // None is left.
        Ok(None) => sleep(TICK).await,
        Ok(Some(None)) | Err(_) => {}
    }
}

/// How the connections that make up the verdict ended for the server.
async fn ask_far_end(options: &Options, board: &Board) -> Option<FarEnd> {
    let lanes = match infer(&board.lanes(), board.now()) {
        Inference { idle: Some(idle), .. } => idle.lanes,
        Inference { lifetime: Some(lifetime), .. } => lifetime.lanes,
        Inference { instant: Some(instant), .. } => instant.lanes,
        Inference { .. } => return None,
    };
    let numbers: Vec<_> = {
        let all = board.lanes();
        lanes.iter().filter_map(|&lane| all[lane].number.clone()).collect()
    };
    far_end::ask(&options.endpoint, options.patience, &numbers).await
}

#[cfg(test)]
mod tests;
