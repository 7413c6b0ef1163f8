//! Load test of a server (`client bench`).
//!
//! Each `worker` thread opens and runs its share of the connections. `connection` is one
//! connection, `traffic` the pings in flight over it. `schedule` and `timer` define when pings are
//! due if a rate is given. `pool` starts the threads and moves them from phase to phase. `figures`
//! holds the counters, `progress` shows some of them while the load runs, and `report` prints all
//! at the end, with a `histogram`.

mod connection;
mod figures;
mod histogram;
mod pool;
mod progress;
mod report;
mod schedule;
mod shared;
mod timer;
mod traffic;
mod worker;

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use program::standard_streams::standard_output;
use program::stop::Stop;
use proto::Ping;
use proto::limits::CLOSE_TIMEOUT;
use proto::ping::PING;
use tokio::time::{sleep, timeout};
use tokio::{select, task};

use crate::net::error::cannot_connect;
use crate::net::source::Sources;
use crate::net::{self, Endpoint};
use crate::stdout::unwritable;
use crate::verdict::Verdict;
use connection::CLOSING;
use figures::Figures;
use pool::Pool;
use progress::{Counters, Progress};
use report::Report;
use schedule::Schedule;
use shared::{Phase, Plan, nanos};

/// The server and the load to put on it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server.
    pub endpoint: Endpoint,
    /// The name in each ping.
    pub client_name: String,
    /// Time that a reply may take (`PONG_TIMEOUT`).
    pub patience: Duration,
    /// Number of connections to keep open.
    pub connections: u64,
    /// Pings to keep in flight over each connection.
    pub in_flight: u32,
    /// Duration of the load, after all connections are open.
    pub duration: Duration,
    /// Pings per second over all connections; without a rate each reply triggers the next ping.
    pub rate: Option<f64>,
    /// Number of worker threads.
    pub threads: u32,
    /// Local addresses to connect from.
    pub sources: Sources,
    /// Reopens lost connections.
    pub reconnects: bool,
    /// Prints the figures as one JSON object.
    pub json: bool,
}

/// Opens the connections, pings over them for the configured duration or until a stop signal, and
/// prints the figures on stdout.
///
/// # Errors
/// Why stdout cannot be written.
pub async fn run(options: Options, stop: Stop) -> Result<Verdict, String> {
    options.endpoint.warn_if_unchecked();
    let counters = Arc::new(Counters::default());
    let progress = Progress::start(Arc::clone(&counters), options.connections);
    let measured = measure(&options, counters, stop).await;
    if let Some(progress) = progress {
        progress.finish().await;
    }
    let (figures, due) = match measured {
        Ok(measured) => measured,
        Err(cause) => {
            if options.json {
                print(report::nothing_measured(&cause).map_err(unreportable)?).await?;
            }
            return Ok(Verdict::Unknown(cause));
        }
    };
    let report = Report::new(&options, &figures, due.saturating_sub(figures.sent));
    let text = if options.json {
        report.json()
    } else {
        Ok(report.text(options.patience, io::stdout().is_terminal()))
    };
    print(text.map_err(unreportable)?).await?;
    Ok(report.fault().map_or(Verdict::Good, |fault| Verdict::Bad(Some(fault))))
}

#[expect(clippy::needless_pass_by_value, reason = "an argument of map_err")]
fn unreportable(error: serde_json::Error) -> String {
    format!("cannot report: {error}")
}

/// The figures, and the number of pings scheduled up to the end.
async fn measure(
    options: &Options,
    counters: Arc<Counters>,
    mut stop: Stop,
) -> Result<(Figures, u64), String> {
    let plan = select! {
        plan = plan(options) => Arc::new(plan?),
        () = stop.wait() => return Err("stopped before there was a connection".into()),
    };
    let mut pool = Pool::start(&plan, options.threads, &counters)?;
    select! {
        () = pool.opened() => {}
        () = stop.wait() => {}
    }
    pool.begin();
    let mut is_stopped = select! {
        () = sleep(options.duration) => false,
        () = pool.ended() => false,
        () = stop.wait() => true,
    };
    let due = plan.schedule.map_or(0, |schedule| schedule.due_by(pool.elapsed()));
    pool.enter(Phase::Draining);
    let patience = if is_stopped { CLOSE_TIMEOUT } else { options.patience };
    select! {
        () = pool.ended() => {}
        () = sleep(patience) => {}
        () = stop.wait(), if !is_stopped => is_stopped = true,
    }
    pool.enter(Phase::Closing);
    let closing = if is_stopped { CLOSE_TIMEOUT } else { CLOSING };
    select! {
        () = pool.ended() => {}
        () = sleep(closing) => {}
        () = stop.wait(), if !is_stopped => {}
    }
    pool.enter(Phase::Over);
    pool.ended().await;
    pool.into_figures().map(|figures| (figures, due))
}

async fn plan(options: &Options) -> Result<Plan, String> {
    let route = net::find_route(&options.endpoint)
        .await
        .map_err(|error| cannot_connect(&options.endpoint.url, &error))?;
    let ping = Ping { client_name: options.client_name.as_str().into(), message: PING.into() };
    let schedule = |rate| Schedule::new(rate, options.connections, nanos(options.duration));
    Ok(Plan {
        route,
        text: ping.to_json().into_bytes(),
        connections: options.connections,
        in_flight: options.in_flight,
        schedule: options.rate.map(schedule),
        patience: options.patience,
        sources: options.sources.clone(),
        reconnects: options.reconnects,
    })
}

/// Prints from a blocking thread, with a time limit for a stuck reader of stdout.
async fn print(text: String) -> Result<(), String> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let write = task::spawn_blocking(move || standard_output().write_all(text.as_bytes()));
    let written = timeout(PATIENCE, write)
        .await
        .map_err(|_| format!("nobody read stdout for {PATIENCE:?}"))?;
    written.map_err(io::Error::other).flatten().map_err(unwritable)
}
