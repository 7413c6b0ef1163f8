//! A worker thread with its share of the connections.

use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use proto::limits::CONNECT_TIMEOUT;
use tokio::runtime::{Builder, LocalOptions};
use tokio::select;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::connection::Connection;
use super::figures::Figures;
use super::progress::Counters;
use super::schedule::Schedule;
use super::shared::{Phase, Plan, RunState, Shared, nanos};
use super::timer::Timer;
use crate::backoff::Backoff;
use crate::net::ConnectError;
use crate::net::route::Reached;
use crate::net::stream::Stream;
use crate::net::upgrade::Upgraded;

/// Connections that a thread opens concurrently.
const OPENING: usize = 64;

/// A report of a thread to its pool.
pub(crate) enum WorkerReport {
    /// Every connection was opened or has failed.
    Opened,
    /// The worker has ended.
    Done(Result<Box<Figures>, String>),
}

/// Starts a thread for the connections with these indexes.
///
/// # Errors
/// If the thread cannot be spawned.
pub(crate) fn start(
    plan: Arc<Plan>,
    numbers: Range<u64>,
    counters: Arc<Counters>,
    states: watch::Receiver<RunState>,
    reports: mpsc::UnboundedSender<WorkerReport>,
) -> io::Result<()> {
    let work = move || {
        let figures = run(plan, numbers, counters, states, &reports);
        // A send error means that the program is ending, and the figures are not needed.
        let _ = reports.send(WorkerReport::Done(figures.map(Box::new)));
    };
    thread::Builder::new().name("bench".into()).spawn(work).map(drop)
}

fn run(
    plan: Arc<Plan>,
    numbers: Range<u64>,
    counters: Arc<Counters>,
    states: watch::Receiver<RunState>,
    reports: &mpsc::UnboundedSender<WorkerReport>,
) -> Result<Figures, String> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .map_err(|error| format!("cannot start: {error}"))?;
    let shared = Shared::new(plan, &numbers, counters)
        .map(Rc::new)
        .map_err(|error| format!("cannot count: {error}"))?;
    runtime.block_on(load(Rc::clone(&shared), numbers, states, reports))?;
    // Dropping the tasks counts the pings still in flight.
    drop(runtime);
    Ok(shared.work().figures.clone())
}

async fn load(
    shared: Rc<Shared>,
    numbers: Range<u64>,
    mut states: watch::Receiver<RunState>,
    reports: &mpsc::UnboundedSender<WorkerReport>,
) -> Result<(), String> {
    select! {
        () = open(&shared, numbers) => {}
        _ = states.changed() => states.mark_changed(),
    }
    let _ = reports.send(WorkerReport::Opened);
    let mut paced = pin!(pace(&shared, states.clone()));
    let mut is_paced = false;
    while !shared.is_empty() && shared.phase() != Phase::Over {
        select! {
            changed = states.changed() => {
                let state = *states.borrow_and_update();
                // An error means that the pool is gone, and the figures are not needed.
                if changed.is_err() {
                    return Ok(());
                }
                shared.enter(state);
            }
            () = shared.gone.notified() => {}
            result = &mut paced, if !is_paced => {
                result.map_err(|error| format!("cannot keep the rate: {error}"))?;
                is_paced = true;
            }
        }
    }
    Ok(())
}

/// Opens all connections.
async fn open(shared: &Rc<Shared>, numbers: Range<u64>) {
    let next = Cell::new(numbers.start);
    let opening = async || {
        while next.get() < numbers.end {
            let number = next.replace(next.get() + 1);
            open_one(shared, number).await;
        }
    };
    join_all((0..OPENING).map(|_| Box::pin(opening()))).await;
}

async fn open_one(shared: &Rc<Shared>, number: u64) {
    let begun = Instant::now();
    match connect(&shared.plan, number).await {
        Ok(Reached { upgraded, .. }) => {
            shared.work().figures.connects.record(nanos(begun.elapsed()));
            spawn_local(keep_connected(Slot::take(shared), number, upgraded));
        }
        Err(cause) => {
            let mut work = shared.work();
            work.figures.failed.count(&cause.to_string());
            work.counters.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn connect(plan: &Plan, number: u64) -> Result<Reached, ConnectError> {
    let source = |target| plan.sources.source(number, target);
    let deadline = (Instant::now() + CONNECT_TIMEOUT).into();
    plan.route.connect(deadline, source).await
}

/// A place among the connections of a thread, kept also while the connection is down.
struct Slot(Rc<Shared>);

impl Slot {
    fn take(shared: &Rc<Shared>) -> Self {
        shared.joined();
        Self(Rc::clone(shared))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.left();
    }
}

/// Runs a connection and reopens it after a loss, until the phase sends no more pings.
async fn keep_connected(slot: Slot, number: u64, first: Upgraded<Stream>) {
    let shared = &slot.0;
    let mut backoff = Backoff::default();
    let mut next = Some(first);
    let mut turns = 0;
    while let Some(Upgraded { stream, early }) = next {
        let made = Instant::now();
        shared.work().counters.made.fetch_add(1, Ordering::Relaxed);
        Connection::<Stream>::new(stream, early, number, turns, Rc::clone(shared)).await;
        shared.work().counters.made.fetch_sub(1, Ordering::Relaxed);
        backoff.held(made.elapsed());
        if !shared.plan.reconnects {
            return;
        }
        next = select! {
            biased;
            () = shared.no_more_pings() => None,
            upgraded = reconnect(shared, number, &mut backoff) => Some(upgraded),
        };
        // Pings that became due during the outage are skipped.
        turns = shared.plan.schedule.map_or(0, |schedule| schedule.turns_by(number, shared.now()));
    }
}

/// Reconnects, with as many attempts as needed.
async fn reconnect(shared: &Shared, number: u64, backoff: &mut Backoff) -> Upgraded<Stream> {
    let lost = Instant::now();
    let mut retry_after = None;
    loop {
        sleep(backoff.next(rand::random(), retry_after)).await;
        match connect(&shared.plan, number).await {
            Ok(Reached { upgraded, .. }) => {
                shared.work().figures.gaps.record(nanos(lost.elapsed()));
                return upgraded;
            }
            Err(cause) => {
                retry_after = cause.retry_after();
                shared.work().figures.retries.count(&cause.to_string());
            }
        }
    }
}

/// Wakes each connection when its next ping is due, if there is a schedule.
async fn pace(shared: &Shared, mut states: watch::Receiver<RunState>) -> io::Result<()> {
    let Some(schedule) = shared.plan.schedule else { return Ok(()) };
    let timer = Timer::new()?;
    // An error means that the pool is gone.
    let _ = states.wait_for(|state| state.start.is_some()).await;
    let mut next = 0;
    while next < schedule.total() {
        let due = schedule.due_by(shared.now());
        wake(shared, &schedule, next..due);
        next = due;
        let left = schedule.due(next).saturating_sub(shared.now());
        timer.wait(Duration::from_nanos(left)).await?;
    }
    Ok(())
}

/// Wakes the connections that these pings belong to, each once.
fn wake(shared: &Shared, schedule: &Schedule, pings: Range<u64>) {
    let work = shared.work();
    let pings = pings.end.saturating_sub(shared.plan.connections).max(pings.start)..pings.end;
    pings.for_each(|ping| work.wake(schedule.connection(ping)));
}
