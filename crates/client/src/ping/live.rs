//! The live line of a terminal: a sparkline of the last round trips, and a summary.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::env;
use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::rc::Rc;
use std::time::Duration;

use rustix::termios::tcgetwinsize;
use tokio::time::{Instant, sleep};

use super::figures::Times;
use super::limits::Limits;
use crate::format::{counted, seconds};
use crate::stdout::Output;

/// Interval between updates of the line.
const PERIOD: Duration = Duration::from_millis(200);

/// Pings in the sparkline.
const SPARKLINE: usize = 24;

/// Width of a terminal that does not report one, in columns.
const COLUMNS: usize = 80;

/// Bar heights of the sparkline.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A lost ping in the sparkline.
const LOST: char = '×';

/// The state of the live line; `None` without a live line.
#[derive(Clone, Debug, Default)]
pub(super) struct Live(Option<Rc<RefCell<State>>>);

#[derive(Debug)]
struct State {
    /// Round trips of the last pings; `None` is a lost ping.
    pings: VecDeque<Option<Duration>>,
    sent: u64,
    lost: u64,
    times: Option<Times>,
    /// Time of the last change between up and down, and the reason if down.
    since: Instant,
    down: Option<String>,
    limits: Limits,
    started: Instant,
    /// When the percentiles were computed last.
    computed: Option<Instant>,
}

impl Live {
    /// A live line if stdout is a terminal that can rewrite a line.
    pub(super) fn for_stdout(limits: Limits) -> Self {
        let is_smart = env::var_os("TERM").as_deref() != Some(OsStr::new("dumb"));
        if !(io::stdout().is_terminal() && is_smart) {
            return Self(None);
        }
        Self(Some(Rc::new(RefCell::new(State::new(limits)))))
    }

    /// Records a ping, answered or lost.
    pub(super) fn ping(&self, sent: u64, lost: u64, time: Option<Duration>) {
        self.update(|state| {
            (state.sent, state.lost) = (sent, lost);
            if state.pings.len() >= SPARKLINE {
                state.pings.pop_front();
            }
            state.pings.push_back(time);
        });
    }

    /// Updates the percentiles, at a limited rate.
    pub(super) fn times(&self, times: impl FnOnce() -> Option<Times>) {
        self.update(|state| {
            let now = Instant::now();
            if state.computed.is_none_or(|last| now.duration_since(last) >= PERIOD) {
                (state.times, state.computed) = (times(), Some(now));
            }
        });
    }

    /// Records that the server is up.
    pub(super) fn up(&self) {
        self.update(|state| (state.since, state.down) = (Instant::now(), None));
    }

    /// Records that the server is down, for this reason.
    pub(super) fn down(&self, reason: &str) {
        self.update(|state| {
            if state.down.replace(reason.to_owned()).is_none() {
                state.since = Instant::now();
            }
        });
    }

    fn update(&self, update: impl FnOnce(&mut State)) {
        if let Some(state) = &self.0 {
            update(&mut state.borrow_mut());
        }
    }

    /// Redraws the line periodically.
    pub(super) async fn draw(&self, output: Output) {
        let Some(state) = &self.0 else { return std::future::pending().await };
        let mut shown = String::new();
        loop {
            sleep(PERIOD).await;
            let line = state.borrow().line(columns());
            if line != shown {
                output.show(line.clone());
                shown = line;
            }
        }
    }
}

fn columns() -> usize {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
        _ => COLUMNS,
    }
}

impl State {
    fn new(limits: Limits) -> Self {
        let now = Instant::now();
        Self {
            pings: VecDeque::new(),
            sent: 0,
            lost: 0,
            times: None,
            since: now,
            down: Some("connecting".into()),
            limits,
            started: now,
            computed: None,
        }
    }

    /// `▁▂▁×█  12 of 20 pings, 1 lost, p50 0.21 ms, p99 0.40 ms, up 12 s`, no wider than `columns`.
    fn line(&self, columns: usize) -> String {
        let mut parts = vec![match self.limits.count {
            Some(count) => format!("{} of {}", self.sent, counted(count, "ping")),
            None => counted(self.sent, "ping"),
        }];
        parts.push(format!("{} lost", self.lost));
        if let Some(Times { p50, p99, .. }) = self.times {
            parts.push(format!("p50 {:.2} ms, p99 {:.2} ms", p50 * 1000.0, p99 * 1000.0));
        }
        if let Some(deadline) = self.limits.deadline {
            parts.push(format!("{} left", whole(deadline.saturating_sub(self.started.elapsed()))));
        }
        let since = whole(self.since.elapsed());
        parts.push(match &self.down {
            Some(reason) => format!("down {since}: {reason}"),
            None => format!("up {since}"),
        });
        let line = format!("{}  {}", self.sparkline(), parts.join(", "));
        // A line of full width would wrap on some terminals.
        line.chars().take(columns.saturating_sub(1)).collect()
    }

    fn sparkline(&self) -> String {
        let slowest = self.pings.iter().flatten().max().copied().unwrap_or_default();
        let bar = |time: &Duration| {
            let height = time.as_secs_f64() / slowest.as_secs_f64().max(1e-9) * BARS.len() as f64;
            BARS[(height.ceil() as usize).clamp(1, BARS.len()) - 1]
        };
        self.pings.iter().map(|ping| ping.as_ref().map_or(LOST, bar)).collect()
    }
}

/// A time in seconds, without a fraction for long times.
fn whole(time: Duration) -> String {
    if time >= Duration::from_secs(10) { format!("{} s", time.as_secs()) } else { seconds(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(millis: &[Option<u64>]) -> State {
        let pings = millis.iter().map(|millis| millis.map(Duration::from_millis)).collect();
        State { pings, sent: millis.len() as u64, ..State::new(Limits::default()) }
    }

    #[tokio::test(start_paused = true)]
    async fn the_line_shows_the_last_pings_and_a_summary() {
        let mut state = state(&[Some(1), Some(4), None, Some(8)]);
        state.lost = 1;
        assert_eq!(state.line(80), "▁▄×█  4 pings, 1 lost, down 0.0 s: connecting");
        state.down = None;
        state.limits = Limits { count: Some(20), deadline: Some(Duration::from_secs(60)) };
        let (fast, slow) = (0.001, 0.008);
        let times = Times { min: fast, avg: fast, p50: fast, p90: slow, p99: slow, max: slow };
        state.times = Some(times);
        sleep(Duration::from_secs(15)).await;
        assert_eq!(
            state.line(120),
            "▁▄×█  4 of 20 pings, 1 lost, p50 1.00 ms, p99 8.00 ms, 45 s left, up 15 s"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_was_never_up_is_down_since_the_start() {
        let live = Live(Some(Rc::new(RefCell::new(state(&[])))));
        sleep(Duration::from_secs(3)).await;
        live.down("connection refused");
        sleep(Duration::from_secs(1)).await;
        let line = live.0.unwrap().borrow().line(80);
        assert!(line.ends_with(", down 4.0 s: connection refused"), "{line}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_line_fits_into_the_terminal() {
        assert_eq!(state(&[Some(1), Some(1)]).line(11), "██  2 ping");
        assert_eq!(state(&[]).line(0), "");
    }
}
