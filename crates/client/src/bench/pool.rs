//! The pool of worker threads.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, watch};

use super::figures::Figures;
use super::progress::Counters;
use super::shared::{Phase, Plan, RunState, nanos};
use super::worker::{self, WorkerReport};

/// The worker threads, moved together from phase to phase.
pub(super) struct Pool {
    state: watch::Sender<RunState>,
    reports: mpsc::UnboundedReceiver<WorkerReport>,
    /// Numbers of threads that still open connections, and of threads that still run.
    opening: u32,
    running: u32,
    figures: Result<Figures, String>,
}

impl Pool {
    /// Starts the threads, each with its share of the connections.
    ///
    /// # Errors
    /// If a thread cannot be spawned.
    pub(super) fn start(
        plan: &Arc<Plan>,
        threads: u32,
        counters: &Arc<Counters>,
    ) -> Result<Self, String> {
        let (state, watched) = watch::channel(RunState { phase: Phase::Opening, start: None });
        let (sender, reports) = mpsc::unbounded_channel();
        let figures = Figures::new().map_err(|error| format!("cannot count: {error}"))?;
        let first = |thread| plan.connections * u64::from(thread) / u64::from(threads);
        for thread in 0..threads {
            let numbers = first(thread)..first(thread + 1);
            let (plan, counters) = (Arc::clone(plan), Arc::clone(counters));
            worker::start(plan, numbers, counters, watched.clone(), sender.clone())
                .map_err(|error| format!("cannot start a thread: {error}"))?;
        }
        Ok(Self { state, reports, opening: threads, running: threads, figures: Ok(figures) })
    }

    /// Waits until every connection was opened or has failed.
    pub(super) async fn opened(&mut self) {
        while self.opening > 0 && self.running > 0 {
            self.next_report().await;
        }
    }

    /// Waits for the end of all threads.
    pub(super) async fn ended(&mut self) {
        while self.running > 0 {
            self.next_report().await;
        }
    }

    async fn next_report(&mut self) {
        match self.reports.recv().await {
            Some(WorkerReport::Opened) => self.opening -= 1,
            Some(WorkerReport::Done(Ok(figures))) => {
                self.running -= 1;
                if let Ok(all) = &mut self.figures {
                    all.add(&figures);
                }
            }
            Some(WorkerReport::Done(Err(cause))) => {
                self.running -= 1;
                self.figures = Err(cause);
            }
            None => self.running = 0,
        }
    }

    /// Starts the pings.
    pub(super) fn begin(&self) {
        self.state.send_replace(RunState { phase: Phase::Running, start: Some(Instant::now()) });
    }

    /// Begins a phase.
    pub(super) fn enter(&self, phase: Phase) {
        self.state.send_modify(|state| state.phase = phase);
    }

    /// Nanoseconds since the pings began.
    pub(super) fn elapsed(&self) -> u64 {
        self.state.borrow().start.map_or(0, |start| nanos(start.elapsed()))
    }

    /// The summed figures of all threads.
    ///
    /// # Errors
    /// The error of the first thread that failed.
    pub(super) fn into_figures(self) -> Result<Figures, String> {
        self.figures
    }
}
