//! Load on a server, and how it bears it (`client bench`).
//!
//! Each `worker` thread makes its share of the connections (`head` keeps what comes right
//! behind an upgrade) and runs them: `connection` is one of them, over `frames`;
//! `schedule` and `timer` say when pings are due where a rate is given. Here is the order of
//! phases; `figures` are counted, `progress` shows some of them, and `report` all.

mod connection;
mod figures;
mod frames;
mod head;
mod progress;
mod report;
mod schedule;
mod settings;
mod shared;
mod timer;
mod worker;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use program::stop::Stop;
use proto::Ping;
use proto::limits::{CLOSE_TIMEOUT, CONNECT_TIMEOUT};
use proto::ping::PING;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio::{select, task};

use crate::connect::Route;
use crate::settings::Settings;
use connection::CLOSING;
use figures::Figures;
use progress::{Counters, Progress};
use report::{Asked, Report};
use schedule::Schedule;
pub use settings::Load;
use shared::{Moment, Phase, Plan, nanos};
use worker::News;

/// Makes the connections, pings over them for the time that was asked for or until told to stop,
/// and prints the figures on stdout.
///
/// # Errors
/// Why there is nothing to measure, why stdout cannot be used, or what went wrong with the
/// connections and pings that were measured.
pub async fn run(settings: &Settings, load: &Load, stop: Stop) -> Result<(), String> {
    let asked = asked(settings, load);
    let counters = Arc::new(Counters::default());
    let progress = Progress::start(Arc::clone(&counters), load.connections);
    let measured = measure(settings, load, counters, stop).await;
    if let Some(progress) = progress {
        progress.finish().await;
    }
    let (figures, due) = measured?;
    let report = Report::new(&asked, &figures, due.saturating_sub(figures.sent));
    let text = if load.json { report.json() } else { Ok(report.text(asked.patience)) };
    print(text.map_err(|error| format!("cannot report: {error}"))?).await?;
    report.fault().map_or(Ok(()), Err)
}

fn asked(settings: &Settings, load: &Load) -> Asked {
    Asked {
        url: settings.url().to_string(),
        duration: load.duration,
        connections: load.connections,
        in_flight: load.in_flight,
        rate: load.rate,
        patience: settings.pong_timeout,
    }
}

/// The figures, and how many pings a schedule had up to the end.
async fn measure(
    settings: &Settings,
    load: &Load,
    counters: Arc<Counters>,
    mut stop: Stop,
) -> Result<(Figures, u64), String> {
    let plan = select! {
        plan = plan(settings, load) => Arc::new(plan?),
        () = stop.wait() => return Err("stopped before there was a connection".into()),
    };
    let mut crew = Crew::start(&plan, load.threads, &counters)?;
    select! {
        () = crew.opened() => {}
        () = stop.wait() => {}
    }
    crew.begin();
    let mut is_stopped = select! {
        () = sleep(load.duration) => false,
        () = crew.ended() => false,
        () = stop.wait() => true,
    };
    let due = plan.schedule.map_or(0, |schedule| schedule.due_by(crew.elapsed()));
    crew.enter(Phase::Draining);
    let patience = if is_stopped { CLOSE_TIMEOUT } else { settings.pong_timeout };
    select! {
        () = crew.ended() => {}
        () = sleep(patience) => {}
        () = stop.wait(), if !is_stopped => is_stopped = true,
    }
    crew.enter(Phase::Closing);
    let closing = if is_stopped { CLOSE_TIMEOUT } else { CLOSING };
    select! {
        () = crew.ended() => {}
        () = sleep(closing) => {}
        () = stop.wait(), if !is_stopped => {}
    }
    crew.enter(Phase::Over);
    crew.ended().await;
    crew.figures.map(|figures| (figures, due))
}

async fn plan(settings: &Settings, load: &Load) -> Result<Plan, String> {
    let url = settings.url();
    let deadline = (Instant::now() + CONNECT_TIMEOUT).into();
    let route = Route::find(url, &settings.trust(), deadline)
        .await
        .map_err(|cause| format!("cannot connect to {url}: {cause}"))?;
    let ping = Ping { client_name: settings.client_name().into(), message: PING.into() };
    let schedule = |rate| Schedule::new(rate, load.connections, nanos(load.duration));
    Ok(Plan {
        route,
        text: ping.to_json().into_bytes(),
        connections: load.connections,
        in_flight: load.in_flight,
        schedule: load.rate.map(schedule),
        patience: settings.pong_timeout,
        sources: load.source.clone(),
    })
}

/// All threads.
struct Crew {
    moments: watch::Sender<Moment>,
    news: mpsc::UnboundedReceiver<News>,
    /// Threads that still open connections, and those that run.
    opening: usize,
    running: usize,
    figures: Result<Figures, String>,
}

impl Crew {
    fn start(plan: &Arc<Plan>, threads: usize, counters: &Arc<Counters>) -> Result<Self, String> {
        let (moments, watched) = watch::channel(Moment { phase: Phase::Opening, start: None });
        let (sender, news) = mpsc::unbounded_channel();
        let figures = Figures::new().map_err(|error| format!("cannot count: {error}"))?;
        let first = |thread| plan.connections * thread as u64 / threads as u64;
        for thread in 0..threads {
            let numbers = first(thread)..first(thread + 1);
            let (plan, counters) = (Arc::clone(plan), Arc::clone(counters));
            worker::start(plan, numbers, counters, watched.clone(), sender.clone())
                .map_err(|error| format!("cannot start a thread: {error}"))?;
        }
        Ok(Self { moments, news, opening: threads, running: threads, figures: Ok(figures) })
    }

    /// Waits until all connections were made, or were not.
    async fn opened(&mut self) {
        while self.opening > 0 && self.running > 0 {
            self.listen().await;
        }
    }

    /// Waits for the end of all threads.
    async fn ended(&mut self) {
        while self.running > 0 {
            self.listen().await;
        }
    }

    async fn listen(&mut self) {
        match self.news.recv().await {
            Some(News::Opened) => self.opening -= 1,
            Some(News::Done(Ok(figures))) => {
                self.running -= 1;
                if let Ok(all) = &mut self.figures {
                    all.add(&figures);
                }
            }
            Some(News::Done(Err(cause))) => {
                self.running -= 1;
                self.figures = Err(cause);
            }
            None => self.running = 0,
        }
    }

    /// Begins to ping.
    fn begin(&self) {
        self.moments.send_replace(Moment { phase: Phase::Running, start: Some(Instant::now()) });
    }

    fn enter(&self, phase: Phase) {
        self.moments.send_modify(|moment| moment.phase = phase);
    }

    /// Nanoseconds since the pings began.
    fn elapsed(&self) -> u64 {
        self.moments.borrow().start.map_or(0, |start| nanos(start.elapsed()))
    }
}

/// Prints on a thread that may wait for the reader, though not for long where it is stuck.
async fn print(text: String) -> Result<(), String> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let write = task::spawn_blocking(move || {
        let mut stdout = io::stdout();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
    });
    match timeout(PATIENCE, write).await {
        Ok(Ok(Err(error))) => Err(format!("cannot write to stdout: {error}")),
        Ok(Err(error)) => Err(format!("cannot write to stdout: {error}")),
        Ok(Ok(Ok(()))) => Ok(()),
        Err(_) => Err(format!("nobody read stdout for {PATIENCE:?}")),
    }
}
