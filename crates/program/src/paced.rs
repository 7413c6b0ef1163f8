//! Lines for an output whose reader may be slow. A dedicated thread writes them, so that a caller
//! never blocks; lines for which the reader is too slow are left out and counted.

use std::io::{self, ErrorKind, Write};
use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use memchr::{memchr, memchr_iter, memrchr};
use parking_lot::{Condvar, Mutex, MutexGuard};

/// Bytes that may wait for the reader.
pub const CAPACITY: usize = 1 << 20;

/// Waiting bytes that cut the pause between two writes short.
const FLUSH_THRESHOLD: usize = CAPACITY / 4;

/// Pause between two writes. Under load one write, and one wake of the thread, then serves
/// thousands of lines.
const PACE: Duration = Duration::from_millis(20);

/// Writes that follow each other without a pause after a quiet time: a few lines are shown at once.
const UNPACED_WRITES: u32 = 16;

/// Bytes of one write, but for a longer line. A write to a pipe returns when all of its bytes have
/// room, so a smaller write shows sooner that a slow reader goes on.
const CHUNK: usize = 64 << 10;

/// Bytes of one write after [`PacedWriter::close`].
const LAST_CHUNK: usize = 4 << 10;

/// Time that a reader may take nothing before [`PacedWriter::wait`] leaves out the waiting lines.
const STALL_TIMEOUT: Duration = Duration::from_millis(100);

/// Writes lines to an output, in a dedicated thread.
#[derive(Clone, Debug)]
pub struct PacedWriter(Arc<Queue>);

/// A problem with the output, reported in the thread that writes.
#[derive(Debug)]
pub enum Trouble {
    /// This many lines were left out after those written last.
    LeftOut(usize),
    /// A write failed, for example because the disk is full or the reader of a pipe is gone. Lines
    /// are left out until a write succeeds again.
    Failed(io::Error),
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Lines in `waiting`.
    waiting_lines: usize,
    /// Lines of the current batch that are not written yet.
    writing_lines: usize,
    /// Bytes that the reader has taken so far.
    taken: u64,
    /// Lines that were left out and not yet reported by a [`Trouble::LeftOut`].
    left_out: usize,
    /// Lines that were left out so far.
    left_out_in_all: u64,
    /// No more lines come; waiting lines are still written.
    closing: bool,
    phase: Phase,
}

/// The state of the writing thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// The thread writes, or is about to look for lines.
    #[default]
    Writing,
    /// The thread pauses between two writes.
    Pausing,
    /// The thread waits for lines.
    Waiting,
    /// The thread has ended.
    Ended,
}

impl PacedWriter {
    /// Starts the thread, which is called `name` and passes each [`Trouble`] to `tell`.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(
        name: &str,
        out: impl Write + Send + 'static,
        tell: impl Fn(Trouble) + Send + 'static,
    ) -> io::Result<Self> {
        let queue = Arc::<Queue>::default();
        let thread = WritingThread { queue: Arc::clone(&queue), out, is_torn: false, writes: 0 };
        thread::Builder::new().name(name.into()).spawn(move || thread.run(tell))?;
        Ok(Self(queue))
    }

    /// Queues `count` whole lines, or counts them as left out if the queue is full.
    pub fn push(&self, lines: &[u8], count: usize) {
        let mut state = self.0.state.lock();
        if state.phase == Phase::Ended {
            return;
        }
        // An empty queue takes even a line longer than CAPACITY.
        if !state.waiting.is_empty() && state.waiting.len() + lines.len() > CAPACITY {
            state.left_out += count;
            state.left_out_in_all += count as u64;
            return;
        }
        state.waiting.extend_from_slice(lines);
        state.waiting_lines += count;
        let is_due = match state.phase {
            Phase::Waiting => true,
            Phase::Pausing => state.waiting.len() >= FLUSH_THRESHOLD,
            Phase::Writing | Phase::Ended => false,
        };
        if is_due {
            // The thread is awake now, so further lines need not wake it.
            state.phase = Phase::Writing;
            self.0.changed.notify_all();
        }
    }

    /// Number of lines left out so far.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.0.state.lock().left_out_in_all
    }

    /// Ends the thread once the waiting lines are written.
    pub fn close(&self) {
        self.0.state.lock().closing = true;
        self.0.changed.notify_all();
    }

    /// Waits for the thread to end, at most until `deadline`, and no longer once the reader has
    /// taken nothing for 100 ms. Returns the number of lines neither written nor reported by a
    /// [`Trouble::LeftOut`]. All lines of a write that has not returned count as not written.
    pub fn wait(&self, deadline: Instant) -> usize {
        let mut state = self.0.state.lock();
        let mut last = (state.taken, Instant::now());
        while state.phase != Phase::Ended {
            let now = Instant::now();
            if state.taken != last.0 {
                last = (state.taken, now);
            }
            let until = deadline.min(last.1 + STALL_TIMEOUT);
            if now >= until {
                return state.waiting_lines + state.writing_lines + state.left_out;
            }
            self.0.changed.wait_until(&mut state, until);
        }
        state.left_out
    }
}

impl Queue {
    /// Pauses the thread that writes, unless many lines wait.
    fn pause(&self, state: &mut MutexGuard<'_, State>) {
        if !state.closing && state.waiting.len() < FLUSH_THRESHOLD {
            state.phase = Phase::Pausing;
            self.changed.wait_for(state, PACE);
        }
    }

    /// Waits for lines, or the end.
    fn wait_for_lines(&self, state: &mut MutexGuard<'_, State>) {
        while state.waiting.is_empty() && !state.closing {
            state.phase = Phase::Waiting;
            self.changed.wait(state);
        }
        state.phase = Phase::Writing;
    }
}

/// The thread that writes.
struct WritingThread<W> {
    queue: Arc<Queue>,
    out: W,
    /// Whether the output ends in the middle of a line, because a write failed.
    is_torn: bool,
    /// Writes since the last quiet time.
    writes: u32,
}

impl<W: Write> WritingThread<W> {
    fn run(mut self, tell: impl Fn(Trouble)) {
        let mut lines = Vec::new();
        let mut is_failing = false;
        while let Some(left_out) = self.next(&mut lines) {
            let result = self.write(&lines);
            let has_failed = result.is_err();
            match result {
                Ok(()) if left_out > 0 => {
                    self.queue.state.lock().left_out -= left_out;
                    tell(Trouble::LeftOut(left_out));
                }
                Ok(()) => {}
                Err(error) => {
                    self.leave_out_rest();
                    if !is_failing {
                        tell(Trouble::Failed(error));
                    }
                }
            }
            is_failing = has_failed;
        }
        self.queue.state.lock().phase = Phase::Ended;
        self.queue.changed.notify_all();
    }

    /// Waits for lines, and moves them to `lines`. Returns how many were left out after them, or
    /// `None` at the end.
    fn next(&mut self, lines: &mut Vec<u8>) -> Option<usize> {
        let mut state = self.queue.state.lock();
        self.writes = self.writes.saturating_add(1);
        if self.writes > UNPACED_WRITES {
            self.queue.pause(&mut state);
        }
        let begun = Instant::now();
        self.queue.wait_for_lines(&mut state);
        if begun.elapsed() > PACE {
            self.writes = 0;
        }
        lines.clear();
        mem::swap(lines, &mut state.waiting);
        state.writing_lines = mem::take(&mut state.waiting_lines);
        (!lines.is_empty()).then_some(state.left_out)
    }

    /// Writes all of `lines`, or as much of them as the output takes.
    fn write(&mut self, mut lines: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.out.write_all(b"\n")?;
            self.is_torn = false;
        }
        while !lines.is_empty() {
            let size = if self.queue.state.lock().closing { LAST_CHUNK } else { CHUNK };
            let (written, rest) = match self.out.write(first_lines(lines, size)) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(len) => lines.split_at(len),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.is_torn = written.last() != Some(&b'\n');
            self.count_written(written);
            lines = rest;
        }
        self.out.flush()
    }

    fn count_written(&self, written: &[u8]) {
        let lines = memchr_iter(b'\n', written).count();
        let mut state = self.queue.state.lock();
        state.taken += written.len() as u64;
        state.writing_lines = state.writing_lines.saturating_sub(lines);
    }

    /// Counts the lines that a failed write did not write as left out.
    fn leave_out_rest(&self) {
        let mut state = self.queue.state.lock();
        let lost = mem::take(&mut state.writing_lines);
        state.left_out += lost;
        state.left_out_in_all += lost as u64;
    }
}

/// The whole lines at the start of `lines` that fit in `size` bytes; at least the first line.
/// Writes end at line ends, as another thread may write to the same output in between.
fn first_lines(lines: &[u8], size: usize) -> &[u8] {
    let last = memrchr(b'\n', &lines[..lines.len().min(size)]);
    let last = last.or_else(|| memchr(b'\n', lines));
    &lines[..last.map_or(lines.len(), |last| last + 1)]
}

#[cfg(test)]
mod tests;
