//! The progress line on the terminal while the load runs.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use program::standard_streams::standard_error;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::format::counted;

/// Interval between updates of the line.
const PERIOD: Duration = Duration::from_secs(1);

/// Longest wait for a slow terminal at the end.
const PATIENCE: Duration = Duration::from_millis(200);

/// Totals over all threads so far.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) made: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) received: AtomicU64,
}

impl Counters {
    /// `1000 of 1000 connections, 123456 pings a second, 740736 received`
    fn line(&self, asked: u64, before: u64, time: Duration) -> String {
        let [made, failed, received] =
            [&self.made, &self.failed, &self.received].map(|count| count.load(Ordering::Relaxed));
        let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        let rate = received.saturating_sub(before) as f64 / time.as_secs_f64().max(0.001);
        let asked = counted(asked, "connection");
        format!("{made} of {asked}{failed}, {rate:.0} pings a second, {received} received")
    }
}

/// The progress line. A separate thread writes the line, so that a terminal paused with Ctrl-S
/// blocks nothing else.
pub(crate) struct Progress {
    stop: mpsc::Sender<()>,
    erased: oneshot::Receiver<()>,
}

impl Progress {
    /// Starts the line if stderr is a terminal.
    pub(crate) fn start(counters: Arc<Counters>, asked: u64) -> Option<Self> {
        if !io::stderr().is_terminal() {
            return None;
        }
        let (stop, stopped) = mpsc::channel();
        let (erase, erased) = oneshot::channel();
        let show = move || {
            // A write error means that the terminal is closed.
            let _ = show(standard_error(), &counters, asked, &stopped);
            let _ = erase.send(());
        };
        thread::Builder::new().name("progress".into()).spawn(show).ok()?;
        Some(Self { stop, erased })
    }

    /// Erases the line.
    pub(crate) async fn finish(self) {
        drop(self.stop);
        let _ = timeout(PATIENCE, self.erased).await;
    }
}

fn show(
    mut terminal: impl Write,
    counters: &Counters,
    asked: u64,
    stopped: &mpsc::Receiver<()>,
) -> io::Result<()> {
    let mut last = (Instant::now(), 0);
    while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
        let line = counters.line(asked, last.1, last.0.elapsed());
        last = (Instant::now(), counters.received.load(Ordering::Relaxed));
        terminal.write_all(format!("\r{line}\x1b[K").as_bytes())?;
    }
    terminal.write_all(b"\r\x1b[K")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_shows_the_rate_since_the_last_update() {
        let counters = Counters::default();
        counters.made.store(7, Ordering::Relaxed);
        counters.received.store(500, Ordering::Relaxed);
        let line = counters.line(10, 100, Duration::from_secs(2));
        assert_eq!(line, "7 of 10 connections, 200 pings a second, 500 received");
        counters.failed.store(3, Ordering::Relaxed);
        assert!(
            counters.line(10, 100, Duration::ZERO).starts_with("7 of 10 connections, 3 failed, ")
        );
    }

    #[test]
    fn the_line_is_erased_at_the_end() {
        let (stop, stopped) = mpsc::channel();
        drop(stop);
        let mut terminal = Vec::new();
        show(&mut terminal, &Counters::default(), 1, &stopped).unwrap();
        assert_eq!(terminal, b"\r\x1b[K");
    }
}
