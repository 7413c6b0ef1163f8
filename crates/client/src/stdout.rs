//! Line output on stdout, one write per line.
//!
//! A separate thread writes the lines, so that a slow or blocked reader of stdout blocks nothing
//! else. On a terminal the same thread keeps a live line below the others, and also writes the
//! events, to keep events and lines in order.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use chrono::Local;
use proto::{Stamp, escape};
use rustix::fs::fstat;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Lines that may be queued for the reader.
const QUEUE: usize = 64;

/// Longest wait for a slow reader at the end.
const PATIENCE: Duration = Duration::from_millis(500);

/// Moves to the beginning of the line and empties it (ECMA-48, CR and EL).
const ERASE: &str = "\r\x1b[K";

/// A handle to queue lines for stdout.
#[derive(Clone, Debug)]
pub struct Output(mpsc::Sender<Item>);

#[derive(Debug)]
enum Item {
    /// Whole lines.
    Lines(String),
    /// The new live line; an empty text removes the line.
    Live(String),
    /// The end of the output.
    End,
}

/// The result of the writer thread.
#[derive(Debug)]
pub struct Writer(oneshot::Receiver<io::Result<()>>);

/// Whether stdout and stderr are the same terminal, so that their lines could get out of order.
#[must_use]
pub fn is_shared_terminal() -> bool {
    let device = |stream: &dyn AsFd| fstat(stream.as_fd()).map(|stat| stat.st_rdev).ok();
    let (stdout, stderr) = (io::stdout(), io::stderr());
    stdout.is_terminal() && stderr.is_terminal() && device(&stdout) == device(&stderr)
}

impl Output {
    /// Starts the writer thread.
    ///
    /// # Errors
    /// If the thread cannot be spawned.
    pub fn start(mut out: impl Write + Send + 'static) -> io::Result<(Self, Writer)> {
        let (items, mut waiting) = mpsc::channel::<Item>(QUEUE);
        let (end, ended) = oneshot::channel();
        thread::Builder::new().name("stdout".into()).spawn(move || {
            let mut result = Ok(());
            let mut live = String::new();
            while result.is_ok()
                && let Some(text) = waiting.blocking_recv().and_then(|item| item.text(&mut live))
            {
                result = out.write_all(text.as_bytes());
            }
            drop(waiting);
            let _ = end.send(result.and_then(|()| out.flush()));
        })?;
        Ok((Self(items), Writer(ended)))
    }

    /// Queues whole lines, after waiting for room. Lines after a write error are dropped;
    /// [`Writer::failed`] returns that error.
    pub async fn print(&self, lines: String) {
        let _ = self.0.send(Item::Lines(lines)).await;
    }

    /// Queues whole lines if the queue has room. Returns `false` if the queue was full.
    pub fn offer(&self, lines: String) -> bool {
        !matches!(self.0.try_send(Item::Lines(lines)), Err(TrySendError::Full(_)))
    }

    /// Queues whole lines if the queue has room and the writer thread runs. Returns whether the
    /// lines were queued.
    pub(crate) fn try_print(&self, lines: String) -> bool {
        self.0.try_send(Item::Lines(lines)).is_ok()
    }

    /// Shows `live` as the live line of a terminal, below all others.
    pub(crate) fn show(&self, live: String) {
        // A terminal paused with Ctrl-S skips the update.
        let _ = self.0.try_send(Item::Live(live));
    }

    /// Waits until the queue has room.
    pub async fn room(&self) {
        let _ = self.0.reserve().await;
    }

    /// Whether the next line has to wait for the reader.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.capacity() == 0
    }

    /// Prints the `last` lines, and returns when all lines are written, or after a time limit.
    ///
    /// # Errors
    /// Why some lines could not be written.
    pub async fn finish(self, last: String, writer: Writer) -> io::Result<()> {
        self.finish_within(PATIENCE, last, writer).await
    }

    /// As [`Self::finish`], with another time limit.
    ///
    /// # Errors
    /// Why some lines could not be written.
    pub(crate) async fn finish_within(
        self,
        patience: Duration,
        last: String,
        writer: Writer,
    ) -> io::Result<()> {
        let rest = async {
            let _ = self.0.send(Item::Live(String::new())).await;
            self.print(last).await;
            self.complete(writer).await
        };
        timeout(patience, rest).await.unwrap_or(Ok(()))
    }

    /// Returns when all lines are written, without a time limit.
    ///
    /// # Errors
    /// Why some lines could not be written.
    pub async fn complete(self, writer: Writer) -> io::Result<()> {
        let _ = self.0.send(Item::End).await;
        drop(self);
        writer.0.await.unwrap_or(Ok(()))
    }
}

impl Item {
    /// The text to write for this item; `None` at the end. Updates the current live line.
    fn text(self, live: &mut String) -> Option<String> {
        match self {
            Self::Lines(lines) if live.is_empty() => Some(lines),
            Self::Lines(lines) => Some(format!("{ERASE}{lines}{live}")),
            Self::Live(next) => {
                let erase = if live.is_empty() { "" } else { ERASE };
                let text = format!("{erase}{next}");
                *live = next;
                Some(text)
            }
            Self::End => None,
        }
    }
}

impl Writer {
    /// Waits until writing fails, and returns the error.
    pub async fn failed(&mut self) -> io::Error {
        match (&mut self.0).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) | Err(_) => io::ErrorKind::BrokenPipe.into(),
        }
    }
}

/// Turns `BrokenPipe` into success: a reader that closed the pipe has read enough.
///
/// # Errors
/// Any other error.
pub fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// The error text for a user when stdout cannot be written.
#[expect(clippy::needless_pass_by_value, reason = "an argument of map_err")]
pub(crate) fn unwritable(error: io::Error) -> String {
    format!("cannot write to stdout: {error}")
}

/// The line for a text from the server: `[19-12-2023 12:43:12] Received from server: Pong!`.
#[must_use]
pub fn received(text: &str) -> String {
    line(&Stamp::new(&Local::now().naive_local()), text)
}

/// The line for a text from the server, with the number of the ping and its round-trip time:
/// `[19-12-2023 12:43:12] Received from server: Pong! seq=1 time=0.21 ms`.
#[must_use]
pub fn numbered(text: &str, number: u64, time: Duration) -> String {
    let line = received(text);
    let millis = time.as_secs_f64() * 1000.0;
    format!("{} seq={number} time={millis:.2} ms\n", line.trim_end_matches('\n'))
}

fn line(stamp: &Stamp, text: &str) -> String {
    format!("{stamp}Received from server: {}\n", escape::plain(text))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::mpsc as std_mpsc;

    /// A stdout that sends each write to a channel.
    #[derive(Debug)]
    pub(crate) struct Writes(std_mpsc::Sender<String>);

    impl Writes {
        pub(crate) fn channel() -> (Self, std_mpsc::Receiver<String>) {
            let (sender, receiver) = std_mpsc::channel();
            (Self(sender), receiver)
        }
    }

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            self.0.send(text).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_received_text_has_the_documented_format() {
        let at = chrono::NaiveDate::from_ymd_opt(2023, 12, 19).unwrap();
        let stamp = Stamp::new(&at.and_hms_opt(12, 43, 12).unwrap());
        assert_eq!(line(&stamp, "Pong!"), "[19-12-2023 12:43:12] Received from server: Pong!\n");
        assert_eq!(
            line(&stamp, "a\n\u{1b}[2J\"b\""),
            "[19-12-2023 12:43:12] Received from server: a\\n\\u001b[2J\"b\"\n"
        );
    }

    #[tokio::test]
    async fn each_line_is_one_write() {
        let (writes, written) = Writes::channel();
        let (output, writer) = Output::start(writes).unwrap();
        output.print("one\n".into()).await;
        output.print("two\n".into()).await;
        output.finish("\nlast\n".into(), writer).await.unwrap();
        let written: Vec<_> = written.iter().filter(|text| !text.is_empty()).collect();
        assert_eq!(written, ["one\n", "two\n", "\nlast\n"]);
    }

    #[tokio::test]
    async fn a_live_line_stays_below_the_others_and_is_erased_at_the_end() {
        let (writes, written) = Writes::channel();
        let (output, writer) = Output::start(writes).unwrap();
        output.show("1 sent".into());
        output.print("one\n".into()).await;
        output.show("2 sent".into());
        output.finish("last\n".into(), writer).await.unwrap();
        let written = written.iter().collect::<String>();
        assert_eq!(written, "1 sent\r\u{1b}[Kone\n1 sent\r\u{1b}[K2 sent\r\u{1b}[Klast\n");
    }

    #[tokio::test]
    async fn a_closed_stdout_is_detected() {
        let (writes, written) = Writes::channel();
        let (output, mut writer) = Output::start(writes).unwrap();
        drop(written);
        output.print("one\n".into()).await;
        assert_eq!(writer.failed().await.kind(), io::ErrorKind::BrokenPipe);
        // Printing after the failure must not block forever.
        output.print("two\n".into()).await;
    }

    #[tokio::test]
    async fn a_blocked_reader_does_not_delay_the_end() {
        let (_reader, pipe) = io::pipe().unwrap();
        let (output, writer) = Output::start(pipe).unwrap();
        // More than the pipe buffers.
        output.print("x".repeat(1 << 20)).await;
        output.finish("last\n".into(), writer).await.unwrap();
    }
}
