//! Lines for an output whose reader may be slow. A thread of its own writes them, so that whoever
//! hands lines over never waits; lines that the reader is too slow for are left out and counted.

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

/// Lines on their way to an output, written by a thread of its own.
#[derive(Clone, Debug)]
pub struct PacedWriter(Arc<Queue>);

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
struct Queue {
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
    /// Bytes that the reader has taken so far.
    taken: u64,
    /// Lines that were left out and that no [`Trouble::LeftOut`] has told of.
    left_out: usize,
    /// Lines that were left out so far.
    left_out_in_all: u64,
    /// No more lines come; what waits is still written.
    closing: bool,
    phase: Phase,
}

/// What the thread does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// It writes, or is about to look for lines.
    #[default]
    Writing,
    /// It pauses between two writes.
    Pausing,
    /// It waits for lines.
    Waiting,
    /// It has ended.
    Ended,
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
        let queue = Arc::<Queue>::default();
        let thread = WritingThread { queue: Arc::clone(&queue), out, is_torn: false, writes: 0 };
        thread::Builder::new().name(name.into()).spawn(move || thread.run(tell))?;
        Ok(Self(queue))
    }

    /// Hands over `count` whole lines, or counts them where the reader is too slow for them.
    pub fn push(&self, lines: &[u8], count: usize) {
        let mut state = self.0.state.lock();
        if state.phase == Phase::Ended {
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
        let is_due = match state.phase {
            Phase::Waiting => true,
            Phase::Pausing => state.waiting.len() >= FLUSH_THRESHOLD,
            Phase::Writing | Phase::Ended => false,
        };
        if is_due {
            // Further lines wake the thread no more.
            state.phase = Phase::Writing;
            self.0.changed.notify_all();
        }
    }

    /// How many lines were left out so far.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.0.state.lock().left_out_in_all
    }

    /// Has the thread end once the waiting lines are written.
    pub fn close(&self) {
        self.0.state.lock().closing = true;
        self.0.changed.notify_all();
    }

    /// Waits for the end of the thread, as long as the reader takes something now and then, and at
    /// most until `deadline`. Returns how many lines were not written by then, but for those that a
    /// [`Trouble::LeftOut`] has told of. Of a write that has not returned, all lines count as not
    /// written.
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
    /// The output ends within a line, of which a failed write has left the rest.
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

    /// Waits for lines, and puts them into `lines`. Returns how many were left out behind them, or
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

    /// Counts the lines that a failed write has left as left out.
    fn leave_out_rest(&self) {
        let mut state = self.queue.state.lock();
        let lost = mem::take(&mut state.writing_lines);
        state.left_out += lost;
        state.left_out_in_all += lost as u64;
    }
}

/// As many whole lines from the start of `lines` as have room in `size` bytes, or the first line if
/// it is longer: between two writes another thread may write to the same output.
fn first_lines(lines: &[u8], size: usize) -> &[u8] {
    let last = memrchr(b'\n', &lines[..lines.len().min(size)]);
    let last = last.or_else(|| memchr(b'\n', lines));
    &lines[..last.map_or(lines.len(), |last| last + 1)]
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
            self.got.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Waits for the end of the thread, which a busy machine may hold up for longer than a reader.
    fn wait_for_end(out: &PacedWriter) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while out.0.state.lock().phase != Phase::Ended {
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
        assert!(out.0.state.lock().waiting.len() <= CAPACITY);
        let left_out = out.0.state.lock().left_out;
        assert!(left_out >= CAPACITY / line.len());
        drop(go);
        out.close();
        wait_for_end(&out);
        let got = got.lock();
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
        assert_eq!(*got.lock(), b"one\ntwo\n");
    }

    /// A device that takes a byte at a time. Each failure happens once, after so many bytes.
    struct Failing {
        failures: Vec<(usize, ErrorKind)>,
        got: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut got = self.got.lock();
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
                let is_done =
                    |state: &State| state.phase == Phase::Waiting && state.waiting.is_empty();
                while !is_done(&out.0.state.lock()) {
                    thread::yield_now();
                }
            }
            out.close();
            assert_eq!(out.wait(Instant::now() + Duration::from_secs(10)), lost);
            assert_eq!(String::from_utf8_lossy(&got.lock()), shown);
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
