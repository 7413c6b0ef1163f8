//! Stdout and stderr, for threads that write at the same time.

use std::io::{self, Write};
use std::os::fd::AsFd;

use parking_lot::{Mutex, MutexGuard};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Stat, fstat};
use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{fcntl_getpipe_size, fcntl_setpipe_size};

/// Held during a write if stdout and stderr are one file (`2>&1`): a pipe takes a long write in
/// parts, and the parts of two writes would mix in the middle of lines.
static SHARED_OUTPUT: Mutex<()> = Mutex::new(());

/// Stdout or stderr, without a buffer.
///
/// A write returns when all bytes are written, also if another program has made the pipe or terminal
/// non-blocking for all its users. If both streams are one file (`2>&1`), a write waits for the other
/// stream's write.
#[derive(Debug)]
pub struct StandardStream<F> {
    file: F,
    is_shared: bool,
}

/// Stdout.
#[must_use]
pub fn standard_output() -> StandardStream<io::Stdout> {
    StandardStream { file: io::stdout(), is_shared: is_output_shared() }
}

/// Stderr.
#[must_use]
pub fn standard_error() -> StandardStream<io::Stderr> {
    StandardStream { file: io::stderr(), is_shared: is_output_shared() }
}

/// Whether stdout and stderr are the same file.
fn is_output_shared() -> bool {
    let file = |stat: Stat| (stat.st_dev, stat.st_ino);
    match (fstat(io::stdout()), fstat(io::stderr())) {
        (Ok(stdout), Ok(stderr)) => file(stdout) == file(stderr),
        _ => false,
    }
}

impl<F: AsFd> StandardStream<F> {
    /// Gives a pipe room for at least `size` bytes, if the system allows that. For a write beyond
    /// the room, writer and reader take turns.
    #[must_use]
    pub fn with_pipe_size(self, size: usize) -> Self {
        if fcntl_getpipe_size(&self.file).is_ok_and(|present| present < size) {
            let _ = fcntl_setpipe_size(&self.file, size);
        }
        self
    }

    fn write_blocking(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < bytes.len() {
            match self.write_part(&bytes[written..]) {
                Ok(0) => break,
                Ok(len) => written += len,
                Err(error) if written == 0 => return Err(error.into()),
                // The next write returns the error again.
                Err(_) => break,
            }
        }
        Ok(written)
    }

    /// Writes as many bytes as have room, after waiting for some room.
    fn write_part(&self, bytes: &[u8]) -> Result<usize, Errno> {
        loop {
            match retry_on_intr(|| rustix::io::write(&self.file, bytes)) {
                Err(Errno::AGAIN) => self.wait_for_room()?,
                written => return written,
            }
        }
    }

    fn wait_for_room(&self) -> Result<(), Errno> {
        let room = || poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], None);
        retry_on_intr(room).map(drop)
    }
}

impl<F: AsFd> Write for StandardStream<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_shared {
            return self.write_blocking(bytes);
        }
        let lock = SHARED_OUTPUT.lock();
        let written = self.write_blocking(bytes);
        // Fair: otherwise a thread with many lines, and a slow reader, would take the lock again
        // before the thread of the other stream is awake.
        MutexGuard::unlock_fair(lock);
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{PipeReader, PipeWriter, Read};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

    fn shared(pipe: &PipeWriter) -> StandardStream<PipeWriter> {
        StandardStream { file: pipe.try_clone().unwrap(), is_shared: true }
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

    fn lines(letter: u8, count: usize) -> Vec<u8> {
        [&[letter; 996][..], b"\n"].concat().repeat(count)
    }

    #[test]
    fn a_pipe_becomes_no_smaller() {
        let (_reader, pipe) = io::pipe().unwrap();
        let room = || fcntl_getpipe_size(&pipe).unwrap();
        let first = room();
        for (size, expected) in [(first / 2, first), (2 * first, 2 * first), (first, 2 * first)] {
            let _ = shared(&pipe).with_pipe_size(size);
            assert_eq!(room(), expected, "{size}");
        }
    }

    #[test]
    fn two_streams_into_one_pipe_do_not_mix_their_lines() {
        for flags in [OFlags::empty(), OFlags::NONBLOCK] {
            let (reader, pipe) = io::pipe().unwrap();
            fcntl_setfl(&pipe, fcntl_getfl(&pipe).unwrap() | flags).unwrap();
            let writers = [b'o', b'e'].map(|letter| {
                let mut out = shared(&pipe);
                thread::spawn(move || {
                    let lines = lines(letter, 300);
                    assert_eq!(out.write(&lines).unwrap(), lines.len());
                })
            });
            drop(pipe);
            let got = read_slowly(reader);
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            let lines: Vec<_> = got.split_inclusive(|&byte| byte == b'\n').collect();
            assert_eq!(lines.len(), 600);
            for line in lines {
                assert!(line.len() == 997 && line[..996].iter().all(|byte| *byte == line[0]));
            }
        }
    }

    #[test]
    fn a_stream_with_many_lines_lets_the_other_one_write() {
        const FEW: usize = 20;
        const MANY: usize = 500 * FEW;
        let (reader, pipe) = io::pipe().unwrap();
        let (mut busy, mut quiet) = (shared(&pipe), shared(&pipe));
        drop(pipe);
        let is_over = AtomicBool::new(false);
        let written = AtomicUsize::new(0);
        thread::scope(|scope| {
            scope.spawn(|| read_slowly(reader));
            scope.spawn(|| {
                let lines = lines(b'o', 16);
                while !is_over.load(Ordering::SeqCst) && written.load(Ordering::SeqCst) < MANY {
                    busy.write_all(&lines).unwrap();
                    written.fetch_add(1, Ordering::SeqCst);
                }
                drop(busy);
            });
            (0..FEW).for_each(|_| quiet.write_all(b"few\n").unwrap());
            is_over.store(true, Ordering::SeqCst);
            drop(quiet);
        });
        assert!(written.into_inner() < MANY);
    }
}
