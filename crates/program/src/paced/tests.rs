use super::*;
use std::io::Read;
use std::sync::mpsc::{Receiver, Sender, channel};

/// A reader that takes its input only when told to.
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

/// Waits for the end of the thread, which a busy machine may delay for longer than a reader.
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
    // The second write is of the first long line; the other two wait.
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
fn waiting_lines_are_written_before_the_end() {
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
            let is_done = |state: &State| state.phase == Phase::Waiting && state.waiting.is_empty();
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
