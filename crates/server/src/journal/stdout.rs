//! The copy of the log on stdout. It is a courtesy: it never makes a ping wait.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pipe::fcntl_setpipe_size;
use tracing::warn;

/// How much may wait for a reader, in bytes.
const CAPACITY: usize = 1 << 20;

/// How much may wait before the pause between two writes is cut short, in bytes.
const MUCH: usize = CAPACITY / 4;

/// Pause between two writes. Under load it makes one write, and one wake of this thread, serve
/// thousands of lines.
const PACE: Duration = Duration::from_millis(20);

/// The standard output. Where that is a pipe it gets room for all that is written in one go, if
/// the system allows it: otherwise both sides would have to take turns, many times a write.
pub fn standard_output() -> io::Stdout {
    let out = io::stdout();
    let _ = fcntl_setpipe_size(&out, CAPACITY);
    out
}

/// Lines on their way to stdout, written by a thread of its own.
#[derive(Clone, Debug)]
pub(super) struct Stdout(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Lines that were left out and are not told yet.
    left_out: usize,
    /// Lines that were left out so far.
    left_out_in_all: u64,
    /// The thread waits for lines.
    idle: bool,
    /// The thread pauses between two writes.
    pausing: bool,
    /// No more lines come; what waits is still written.
    closing: bool,
    /// The thread has ended.
    closed: bool,
}

impl Stdout {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there can be no further thread.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let this = Self(Arc::default());
        let copy = this.clone();
        thread::Builder::new().name("stdout".into()).spawn(move || copy.run(out))?;
        Ok(this)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over `count` whole lines, or counts them where the reader is too slow for them.
    pub(super) fn push(&self, lines: &[u8], count: usize) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        // Where nothing waits, even a line that is longer than all that may wait is taken.
        if !state.waiting.is_empty() && state.waiting.len() + lines.len() > CAPACITY {
            state.left_out += count;
            state.left_out_in_all += count as u64;
            return;
        }
        state.waiting.extend_from_slice(lines);
        let is_much = state.waiting.len() >= MUCH && mem::take(&mut state.pausing);
        if mem::take(&mut state.idle) || is_much {
            self.0.changed.notify_all();
        }
    }

    /// How many lines were left out so far.
    pub(super) fn left_out(&self) -> u64 {
        self.state().left_out_in_all
    }

    /// Ends the copy, after what waits is written or `patience` is over.
    pub(super) fn close(&self, patience: Duration) {
        let mut state = self.state();
        state.closing = true;
        self.0.changed.notify_all();
        let deadline = Instant::now() + patience;
        while !state.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state =
                self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn run(&self, mut out: impl Write) {
        let mut lines = Vec::new();
        while let Some(left_out) = self.take(&mut lines) {
            if let Err(error) = out.write_all(&lines).and_then(|()| out.flush()) {
                warn!("stdout shows no more lines: {error}; the log file has them all");
                break;
            }
            if left_out > 0 {
                warn!(
                    "left {left_out} lines out on stdout, more than it takes; the log file has them all"
                );
            }
        }
        let mut state = self.state();
        state.closed = true;
        state.waiting = Vec::new();
        self.0.changed.notify_all();
    }

    /// Waits for lines and puts them into `lines`. Returns how many were left out behind them,
    /// or `None` at the end.
    fn take(&self, lines: &mut Vec<u8>) -> Option<usize> {
        let mut state = self.state();
        if !lines.is_empty() && !state.closing && state.waiting.len() < MUCH {
            state.pausing = true;
            let paused = self.0.changed.wait_timeout(state, PACE);
            state = paused.unwrap_or_else(PoisonError::into_inner).0;
            state.pausing = false;
        }
        lines.clear();
        while state.waiting.is_empty() && !state.closing {
            state.idle = true;
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        mem::swap(lines, &mut state.waiting);
        (!lines.is_empty()).then(|| mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// A reader that takes what it gets only when told to.
    struct Slow {
        started: Sender<()>,
        go: Receiver<()>,
        got: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.started.send(()).ok();
            self.go.recv().ok();
            self.got.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_slow_reader_delays_nobody_and_memory_stays_bounded() {
        let (started, starts) = channel();
        let (go, may_go) = channel();
        let got = Arc::new(Mutex::new(Vec::new()));
        let out = Stdout::start(Slow { started, go: may_go, got: Arc::clone(&got) }).unwrap();
        out.push(b"first\n", 1);
        starts.recv().unwrap();
        let line = [b"x".repeat(999), b"\n".to_vec()].concat();
        for _ in 0..2 * CAPACITY / line.len() {
            out.push(&line, 1);
        }
        assert!(out.state().waiting.len() <= CAPACITY);
        assert!(out.state().left_out >= CAPACITY / line.len());
        drop(go);
        out.close(Duration::from_secs(10));
        let got = got.lock().unwrap();
        assert!(got.starts_with(b"first\n") && got.ends_with(b"x\n"));
        assert_eq!((got.len() - 6) % line.len(), 0);
    }

    #[test]
    fn what_waits_is_written_before_the_end() {
        let (started, _starts) = channel();
        let (go, may_go) = channel();
        drop(go);
        let got = Arc::new(Mutex::new(Vec::new()));
        let out = Stdout::start(Slow { started, go: may_go, got: Arc::clone(&got) }).unwrap();
        out.push(b"one\n", 1);
        out.push(b"two\n", 1);
        out.close(Duration::from_secs(10));
        assert_eq!(*got.lock().unwrap(), b"one\ntwo\n");
    }
}
