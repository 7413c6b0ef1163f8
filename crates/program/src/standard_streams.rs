//! Stdout and stderr, for threads that write at the same time.

use std::io::{self, Write};

use parking_lot::{Mutex, MutexGuard};
use rustix::fs::{Stat, fstat};
use rustix::pipe::fcntl_setpipe_size;

use crate::paced::CAPACITY;

/// Held during a write if stdout and stderr are one file (`2>&1`): a pipe takes a long write in
/// parts, and the parts of two writes would mix in the middle of lines.
static SHARED_OUTPUT: Mutex<()> = Mutex::new(());

/// Stdout or stderr. If both are one file (`2>&1`), a write waits for the other stream's write.
#[derive(Debug)]
pub struct StandardStream<W> {
    out: W,
    is_shared: bool,
}

/// Stdout. A pipe gets room for as much as may wait, if the system allows that: otherwise writer and
/// reader would take turns, many times a write.
#[must_use]
pub fn standard_output() -> StandardStream<io::Stdout> {
    let out = io::stdout();
    let _ = fcntl_setpipe_size(&out, CAPACITY);
    StandardStream { out, is_shared: is_output_shared() }
}

/// Stderr.
#[must_use]
pub fn standard_error() -> StandardStream<io::Stderr> {
    StandardStream { out: io::stderr(), is_shared: is_output_shared() }
}

/// Whether stdout and stderr are the same file.
fn is_output_shared() -> bool {
    let file = |stat: Stat| (stat.st_dev, stat.st_ino);
    match (fstat(io::stdout()), fstat(io::stderr())) {
        (Ok(stdout), Ok(stderr)) => file(stdout) == file(stderr),
        _ => false,
    }
}

impl<W: Write> Write for StandardStream<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_shared {
            return self.out.write(bytes);
        }
        let lock = SHARED_OUTPUT.lock();
        let written = self.out.write(bytes);
        // Otherwise a stream with many lines, and a slow reader, would hardly let the other one
        // write: this thread would have the lock again before the other thread is awake.
        MutexGuard::unlock_fair(lock);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{PipeReader, Read};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    /// An output with a slow reader, which counts the writes.
    struct Slow<'a>(&'a AtomicUsize);

    impl Write for Slow<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(1));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stream_with_many_lines_lets_the_other_one_write() {
        const FEW: usize = 20;
        const MANY: usize = 500 * FEW;
        let (busy, quiet) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let is_over = AtomicBool::new(false);
        let stream = |count| StandardStream { out: Slow(count), is_shared: true };
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut busy = stream(&busy);
                let lines = (0..MANY).take_while(|_| !is_over.load(Ordering::SeqCst));
                lines.for_each(|_| busy.write_all(b"many\n").unwrap());
            });
            let mut quiet = stream(&quiet);
            (0..FEW).for_each(|_| quiet.write_all(b"few\n").unwrap());
            is_over.store(true, Ordering::SeqCst);
        });
        assert_eq!(quiet.load(Ordering::SeqCst), FEW);
        assert!(busy.load(Ordering::SeqCst) < MANY);
    }

    /// Reads with pauses, so that the pipe is full whenever something is written.
    fn read_slowly(mut reader: PipeReader) -> Vec<u8> {
        let (mut got, mut buffer) = (Vec::new(), [0; 16 << 10]);
        while let len @ 1.. = reader.read(&mut buffer).unwrap() {
            got.extend_from_slice(&buffer[..len]);
            thread::sleep(Duration::from_millis(1));
        }
        got
    }

    #[test]
    fn two_streams_into_one_pipe_do_not_mix_their_lines() {
        let (reader, writer) = io::pipe().unwrap();
        let writers = [b'o', b'e'].map(|letter| {
            let out = writer.try_clone().unwrap();
            thread::spawn(move || {
                let lines = [&[letter; 996][..], b"\n"].concat().repeat(300);
                StandardStream { out, is_shared: true }.write_all(&lines).unwrap();
            })
        });
        drop(writer);
        let got = read_slowly(reader);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        let lines: Vec<_> = got.split_inclusive(|&byte| byte == b'\n').collect();
        assert_eq!(lines.len(), 600);
        for line in lines {
            assert!(line.len() == 997 && line[..996].iter().all(|byte| *byte == line[0]));
        }
    }
}
