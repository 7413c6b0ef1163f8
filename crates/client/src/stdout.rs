//! The lines on stdout, each in one write.
//!
//! A thread of its own writes them, so that a reader of stdout who is slow, or does not read at
//! all, blocks nothing else. On a terminal the same thread keeps a live line below the others, and
//! writes the events, which would else overtake them.

use std::fs::File;
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

/// Lines that may wait for the reader.
const QUEUE: usize = 64;

/// Time that a slow reader is given at the end.
const PATIENCE: Duration = Duration::from_millis(200);

/// Moves to the beginning of the line and empties it (ECMA-48, CR and EL).
const ERASE: &str = "\r\x1b[K";

/// The way to stdout.
#[derive(Clone, Debug)]
pub struct Output(mpsc::Sender<Item>);

#[derive(Debug)]
enum Item {
    /// Whole lines.
    Lines(String),
    /// The live line from now on; none where that is empty.
    Live(String),
    /// There is no more.
    End,
}

/// The thread at its end.
#[derive(Debug)]
pub struct Writer(oneshot::Receiver<io::Result<()>>);

/// Stdout itself, without the buffer of [`io::stdout`].
///
/// # Errors
/// When the system is out of descriptors.
pub fn open() -> io::Result<File> {
    io::stdout().as_fd().try_clone_to_owned().map(File::from)
}

/// Whether stdout and stderr are the same terminal, where one may overtake the other.
#[must_use]
pub fn is_shared_terminal() -> bool {
    let device = |stream: &dyn AsFd| fstat(stream.as_fd()).map(|stat| stat.st_rdev).ok();
    let (stdout, stderr) = (io::stdout(), io::stderr());
    stdout.is_terminal() && stderr.is_terminal() && device(&stdout) == device(&stderr)
}

impl Output {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there can be no further thread.
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
            let _ = end.send(result);
        })?;
        Ok((Self(items), Writer(ended)))
    }

    /// Prints whole lines, after waiting for room. Where that is not possible any more,
    /// [`Writer::failed`] tells.
    pub async fn print(&self, lines: String) {
        let _ = self.0.send(Item::Lines(lines)).await;
    }

    /// Prints whole lines if there is room for them now. Returns whether there was.
    pub fn offer(&self, lines: String) -> bool {
        !matches!(self.0.try_send(Item::Lines(lines)), Err(TrySendError::Full(_)))
    }

    /// Prints whole lines if there is room for them now, and something that writes. Returns whether
    /// that was so.
    pub(crate) fn try_print(&self, lines: String) -> bool {
        self.0.try_send(Item::Lines(lines)).is_ok()
    }

    /// Shows this as the live line of a terminal, below all others.
    pub(crate) fn show(&self, live: String) {
        // A terminal that is held (Ctrl-S) does without.
        let _ = self.0.try_send(Item::Live(live));
    }

    /// Waits until there is room.
    pub async fn room(&self) {
        let _ = self.0.reserve().await;
    }

    /// Whether the next line has to wait for the reader.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.capacity() == 0
    }

    /// Prints the `last` lines, and returns when everything is written, or its reader took too
    /// long.
    ///
    /// # Errors
    /// Why not everything could be written.
    pub async fn finish(self, last: String, writer: Writer) -> io::Result<()> {
        let rest = async {
            let _ = self.0.send(Item::Live(String::new())).await;
            self.print(last).await;
            self.complete(writer).await
        };
        timeout(PATIENCE, rest).await.unwrap_or(Ok(()))
    }

    /// Returns when everything is written, however long its reader takes.
    ///
    /// # Errors
    /// Why not everything could be written.
    pub async fn complete(self, writer: Writer) -> io::Result<()> {
        let _ = self.0.send(Item::End).await;
        drop(self);
        writer.0.await.unwrap_or(Ok(()))
    }
}

impl Item {
    /// What is to be written, with this live line on the terminal.
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
    /// Waits until nothing can be printed any more, and says why.
    pub async fn failed(&mut self) -> io::Error {
        match (&mut self.0).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) | Err(_) => io::ErrorKind::BrokenPipe.into(),
        }
    }
}

/// Turns the error of a stdout that nobody reads any more into success: whoever closed it has read
/// enough.
///
/// # Errors
/// Any other error.
pub fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// The line that shows what the server said:
/// `[19-12-2023 12:43:12] Received from server: Pong!`.
#[must_use]
pub fn received(text: &str) -> String {
    line(&Stamp::new(&Local::now().naive_local()), text)
}

/// The same, with the number of the ping and the round trip:
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

    /// A stdout that hands over each write.
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
    fn the_documented_line() {
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
    async fn a_live_line_stays_below_the_others_and_goes_at_the_end() {
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
    async fn a_stdout_that_is_gone_is_noticed() {
        let (writes, written) = Writes::channel();
        let (output, mut writer) = Output::start(writes).unwrap();
        drop(written);
        output.print("one\n".into()).await;
        assert_eq!(writer.failed().await.kind(), io::ErrorKind::BrokenPipe);
        // Nobody waits for good who still prints.
        output.print("two\n".into()).await;
    }

    #[tokio::test]
    async fn a_reader_that_does_not_read_keeps_nobody_from_stopping() {
        let (_reader, pipe) = io::pipe().unwrap();
        let (output, writer) = Output::start(pipe).unwrap();
        // More than the pipe holds.
        output.print("x".repeat(1 << 20)).await;
        output.finish("last\n".into(), writer).await.unwrap();
    }
}
