//! Lines for an output whose reader may be slow. A thread of its own writes them, so that whoever
//! hands lines over never waits; lines that the reader is too slow for are left out and counted.

use std::io::{self, ErrorKind, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

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

/// Lines on their way to an output, written by a thread of its own.
#[derive(Clone, Debug)]
pub struct PacedWriter(Arc<Shared>);

/// Trouble with the output, told in the thread that writes.
#[derive(Debug)]
pub enum Trouble {
    /// As many lines were left out behind those written last.
    LeftOut(usize),
    /// A write failed: the disk is full, say, or the reader of a pipe is gone. Lines are left out until
    /// a write succeeds again.
    Failed(io::Error),
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Lines in `waiting`.
    waiting_lines: usize,
    /// Lines that the thread is writing, but for those that are written.
    writing_lines: usize,
    /// The output ends within a line, of which a failed write has left the rest.
    is_torn: bool,
    /// Bytes that the reader has taken so far.
    taken: u64,
    /// Lines that were left out and that no [`Trouble::LeftOut`] has told of.
    left_out: usize,
    /// Lines that were left out so far.
    left_out_in_all: u64,
    /// Writes since the last quiet time.
    writes: u32,
    /// The thread waits for lines.
    idle: bool,
    /// The thread pauses between two writes.
    pausing: bool,
    /// No more lines come; what waits is still written.
    closing: bool,
    /// The thread has ended.
    closed: bool,
}

impl PacedWriter {
    /// Starts the thread, which is called `name`. It gives each [`Trouble`] to `tell`.
    ///
    /// # Errors
    /// When there can be no further thread.
    pub fn start(
        name: &str,
        out: impl Write + Send + 'static,
        tell: impl Fn(Trouble) + Send + 'static,
    ) -> io::Result<Self> {
        let this = Self(Arc::default());
        let writer = this.clone();
        thread::Builder::new().name(name.into()).spawn(move || writer.run(out, tell))?;
        Ok(this)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over `count` whole lines, or counts them where the reader is too slow for them.
    pub fn push(&self, lines: &[u8], count: usize) {
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
        state.waiting_lines += count;
        let is_over = state.waiting.len() >= FLUSH_THRESHOLD && mem::take(&mut state.pausing);
        if mem::take(&mut state.idle) || is_over {
            self.0.changed.notify_all();
        }
    }

    /// How many lines were left out so far.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.state().left_out_in_all
    }

    /// Has the thread end once the waiting lines are written.
    pub fn close(&self) {
        self.state().closing = true;
        self.0.changed.notify_all();
    }

    /// Waits for the end of the thread, as long as the reader takes something now and then, and at
    /// most until `deadline`. Returns how many lines were not written by then, but for those that a
    /// [`Trouble::LeftOut`] has told of.
    pub fn wait(&self, deadline: Instant) -> usize {
        let mut state = self.state();
        let mut last = (state.taken, Instant::now());
        while !state.closed {
            let now = Instant::now();
            if state.taken != last.0 {
                last = (state.taken, now);
            }
            let until = deadline.min(last.1 + STALL_TIMEOUT);
            if now >= until {
                return state.waiting_lines + state.writing_lines + state.left_out;
            }
            let waited = self.0.changed.wait_timeout(state, until - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.left_out
    }

    fn run(&self, mut out: impl Write, tell: impl Fn(Trouble)) {
        let mut lines = Vec::new();
        let mut is_failing = false;
        while let Some(left_out) = self.take(&mut lines) {
            let (written, result) = self.write(&mut out, &lines);
            let has_failed = result.is_err();
            match result {
                Ok(()) if left_out > 0 => {
                    self.state().left_out -= left_out;
                    tell(Trouble::LeftOut(left_out));
                }
                Ok(()) => {}
                Err(error) => {
                    self.leave_out_rest(&lines[..written]);
                    if !is_failing {
                        tell(Trouble::Failed(error));
                    }
                }
            }
            is_failing = has_failed;
        }
        self.state().closed = true;
        self.0.changed.notify_all();
    }

    /// Writes as much of `lines` as the output takes; returns how many bytes.
    fn write(&self, out: &mut impl Write, lines: &[u8]) -> (usize, io::Result<()>) {
        let mut written = 0;
        while written < lines.len() {
            let size = if self.state().closing { LAST_CHUNK } else { CHUNK };
            let chunk = first_lines(&lines[written..], size);
            match out.write(chunk) {
                Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
                Ok(len) => {
                    written += len;
                    self.count_written(&chunk[..len]);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return (written, Err(error)),
            }
        }
        (written, out.flush())
    }

    fn count_written(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.taken += bytes.len() as u64;
        // The torn line was counted when the rest of the line was left out.
        let ends = count_lines(bytes) - usize::from(mem::take(&mut state.is_torn));
        state.writing_lines = state.writing_lines.saturating_sub(ends);
    }

    /// Counts the lines that a failed write left behind `written` as left out.
    fn leave_out_rest(&self, written: &[u8]) {
        let mut state = self.state();
        let lost = mem::take(&mut state.writing_lines);
        state.left_out += lost;
        state.left_out_in_all += lost as u64;
        state.is_torn |= written.last().is_some_and(|&last| last != b'\n');
    }

    /// Waits for lines and puts them into `lines`. Returns how many were left out behind them,
    /// or `None` at the end.
    fn take(&self, lines: &mut Vec<u8>) -> Option<usize> {
        let mut state = self.state();
        state.writes = state.writes.saturating_add(1);
        if state.writes > UNPACED_WRITES && !state.closing && state.waiting.len() < FLUSH_THRESHOLD
        {
            state.pausing = true;
            let paused = self.0.changed.wait_timeout(state, PACE);
            state = paused.unwrap_or_else(PoisonError::into_inner).0;
            state.pausing = false;
        }
        let begun = Instant::now();
        while state.waiting.is_empty() && !state.closing {
            state.idle = true;
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if begun.elapsed() > PACE {
            state.writes = 0;
        }
        lines.clear();
        mem::swap(lines, &mut state.waiting);
        if lines.is_empty() {
            return None;
        }
        if state.is_torn {
            lines.insert(0, b'\n');
        }
        state.writing_lines = mem::take(&mut state.waiting_lines);
        Some(state.left_out)
    }
}

/// As many whole lines from the start of `lines` as have room in `size` bytes, or the first line if
/// it is longer: between two writes another thread may write to the same output.
fn first_lines(lines: &[u8], size: usize) -> &[u8] {
    let is_end = |&byte: &u8| byte == b'\n';
    let last = lines[..lines.len().min(size)].iter().rposition(is_end);
    let last = last.or_else(|| lines.iter().position(is_end));
    &lines[..last.map_or(lines.len(), |last| last + 1)]
}

fn count_lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
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

    /// Waits for the end of the thread, which a busy machine may hold up for longer than a reader.
    fn wait_for_end(out: &PacedWriter) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !out.state().closed {
            assert!(Instant::now() < deadline, "the thread does not end");
            out.wait(deadline);
        }
    }

    fn start(out: impl Write + Send + 'static) -> io::Result<PacedWriter> {
        PacedWriter::start("output", out, |_| {})
    }

    #[test]
    fn a_slow_reader_delays_nobody_and_memory_stays_bounded() {
        let (started, starts) = channel();
        let (go, may_go) = channel();
        let got = Arc::new(Mutex::new(Vec::new()));
        let (tell, told) = channel();
        let tell = move |trouble| tell.send(trouble).unwrap();
        let out = Slow { started, go: may_go, got: Arc::clone(&got) };
        let out = PacedWriter::start("output", out, tell).unwrap();
        out.push(b"first\n", 1);
        starts.recv().unwrap();
        let line = [b"x".repeat(999), b"\n".to_vec()].concat();
        for _ in 0..2 * CAPACITY / line.len() {
            out.push(&line, 1);
        }
        assert!(out.state().waiting.len() <= CAPACITY);
        let left_out = out.state().left_out;
        assert!(left_out >= CAPACITY / line.len());
        drop(go);
        out.close();
        wait_for_end(&out);
        let got = got.lock().unwrap();
        assert!(got.starts_with(b"first\n") && got.ends_with(b"x\n"));
        assert_eq!((got.len() - 6) % line.len(), 0);
        let told = told.recv().unwrap();
        assert!(matches!(told, Trouble::LeftOut(lines) if lines == left_out), "{told:?}");
    }

    #[test]
    fn a_stuck_reader_does_not_delay_the_end() {
        let (started, starts) = channel();
        let (_go, may_go) = channel();
        let out = start(Slow { started, go: may_go, got: Arc::default() }).unwrap();
        out.push(b"one\n", 1);
        starts.recv().unwrap();
        let line = [b"x".repeat(CAPACITY - 1), b"\n".to_vec()].concat();
        (0..3).for_each(|_| out.push(&line, 1));
        let begun = Instant::now();
        out.close();
        assert_eq!(out.wait(begun + Duration::from_secs(3600)), 4);
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_line_that_was_taken_does_not_count_as_left_out_at_the_end() {
        let (started, starts) = channel();
        let (go, may_go) = channel();
        let out = start(Slow { started, go: may_go, got: Arc::default() }).unwrap();
        out.push(b"one\n", 1);
        starts.recv().unwrap();
        // Each line takes a write of its own.
        let line = [b"x".repeat(CHUNK - 1), b"\n".to_vec()].concat();
        (0..3).for_each(|_| out.push(&line, 1));
        for _ in 0..2 {
            go.send(()).unwrap();
            starts.recv().unwrap();
        }
        out.close();
        assert_eq!(out.wait(Instant::now() + Duration::from_secs(3600)), 2);
    }

    #[test]
    fn lines_left_out_behind_a_write_that_does_not_end_count_at_the_end() {
        let (started, starts) = channel();
        let (go, may_go) = channel();
        let out = start(Slow { started, go: may_go, got: Arc::default() }).unwrap();
        out.push(b"one\n", 1);
        starts.recv().unwrap();
        let line = [b"x".repeat(CAPACITY - 1), b"\n".to_vec()].concat();
        (0..3).for_each(|_| out.push(&line, 1));
        go.send(()).unwrap();
        // The second write is of the first long line, and behind it stand the other two.
        starts.recv().unwrap();
        out.close();
        assert_eq!(out.wait(Instant::now() + Duration::from_secs(3600)), 3);
    }

    #[test]
    fn a_slow_reader_gets_everything_at_the_end() {
        // A reader that a busy machine holds up counts as stuck.
        assert!((0..20).any(|_| gets_everything()), "a slow reader counts as stuck");
    }

    fn gets_everything() -> bool {
        let (mut reader, writer) = io::pipe().unwrap();
        let out = start(writer).unwrap();
        let line = [b"x".repeat(999), b"\n".to_vec()].concat();
        for _ in 0..1000 {
            out.push(&line, 1);
        }
        out.close();
        let reading = thread::spawn(move || {
            let (mut got, mut buffer) = (0, [0; 16 << 10]);
            while let len @ 1.. = reader.read(&mut buffer).unwrap() {
                got += len;
                thread::sleep(STALL_TIMEOUT / 20);
            }
            got
        });
        let left_out = out.wait(Instant::now() + Duration::from_secs(60));
        drop(out);
        let got = reading.join().unwrap();
        assert!(left_out > 0 || got == 1000 * line.len(), "{got} bytes");
        left_out == 0
    }

    #[test]
    fn what_waits_is_written_before_the_end() {
        let (started, _starts) = channel();
        let (go, may_go) = channel();
        drop(go);
        let got = Arc::new(Mutex::new(Vec::new()));
        let out = start(Slow { started, go: may_go, got: Arc::clone(&got) }).unwrap();
        out.push(b"one\n", 1);
        out.push(b"two\n", 1);
        out.close();
        wait_for_end(&out);
        assert_eq!(*got.lock().unwrap(), b"one\ntwo\n");
    }

    /// A device that takes a byte at a time. Each failure happens once, after so many bytes.
    struct Failing {
        failures: Vec<(usize, ErrorKind)>,
        got: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut got = self.got.lock().unwrap();
            if let Some((_, kind)) = self.failures.pop_if(|(after, _)| *after == got.len()) {
                return Err(kind.into());
            }
            got.push(bytes[0]);
            Ok(1)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_failed_write_costs_its_lines_and_no_others() {
        use ErrorKind::{BrokenPipe, Interrupted, StorageFull};
        for (failures, shown, expected, lost) in [
            (vec![(1, Interrupted)], "one\ntwo\n", &[][..], 0),
            (vec![(0, StorageFull)], "two\n", &["no storage space", "left out 1"], 0),
            (vec![(2, StorageFull)], "on\ntwo\n", &["no storage space", "left out 1"], 0),
            (vec![(4, StorageFull)], "one\n", &["no storage space"], 1),
            (vec![(0, StorageFull); 2], "", &["no storage space"], 2),
            (vec![(0, BrokenPipe)], "two\n", &["broken pipe", "left out 1"], 0),
        ] {
            let (tell, told) = channel();
            let tell = move |trouble| {
                let text = match trouble {
                    Trouble::LeftOut(lines) => format!("left out {lines}"),
                    Trouble::Failed(error) => error.to_string(),
                };
                tell.send(text).unwrap();
            };
            let got = Arc::new(Mutex::new(Vec::new()));
            let out = Failing { failures, got: Arc::clone(&got) };
            let out = PacedWriter::start("output", out, tell).unwrap();
            for line in ["one\n", "two\n"] {
                out.push(line.as_bytes(), 1);
                let is_done = |state: &State| state.idle && state.waiting.is_empty();
                while !is_done(&out.state()) {
                    thread::yield_now();
                }
            }
            out.close();
            assert_eq!(out.wait(Instant::now() + Duration::from_secs(10)), lost);
            assert_eq!(String::from_utf8_lossy(&got.lock().unwrap()), shown);
            drop(out);
            assert_eq!(told.iter().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn a_write_is_of_whole_lines_however_long_they_are() {
        for (lines, size, first) in [
            ("one\ntwo\nthree\n", 9, "one\ntwo\n"),
            ("one\ntwo\n", 4, "one\n"),
            ("long line\ntwo\n", 4, "long line\n"),
            ("long line\n", 4, "long line\n"),
            ("no end", 4, "no end"),
        ] {
            assert_eq!(first_lines(lines.as_bytes(), size), first.as_bytes(), "{lines:?} {size}");
        }
    }
}
