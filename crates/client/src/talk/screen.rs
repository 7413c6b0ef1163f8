//! What is seen: a line for each frame.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::rc::Rc;
use std::time::Duration;

use proto::escape;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::terminal::{Terminal, shown};
use crate::stdout::{self, Output, Writer};

/// Stdout.
#[derive(Clone, Debug)]
pub(super) struct Screen {
    stdout: Output,
    /// A terminal shows stdout, so nothing on it may move the cursor.
    is_shown: bool,
    /// The longest time that a line had to wait for the reader of stdout.
    longest_stall: Rc<Cell<Duration>>,
}

impl Screen {
    /// The screen of this process, and the thread that writes to it.
    ///
    /// # Errors
    /// When the system is out of descriptors or threads.
    pub(super) fn open(terminal: Option<&Terminal>) -> io::Result<(Self, Writer)> {
        let is_shown = io::stdout().is_terminal();
        let above = terminal.filter(|_| is_shown).and_then(Terminal::printer);
        let (stdout, writer) = match above {
            Some(above) => Output::start(above)?,
            None => Output::start(stdout::open()?)?,
        };
        Ok((Self::new(stdout, is_shown), writer))
    }

    fn new(stdout: Output, is_shown: bool) -> Self {
        Self { stdout, is_shown, longest_stall: Rc::default() }
    }

    /// Prints what a frame says.
    pub(super) async fn show(&self, message: &Message) {
        let Some(mut line) = self.line(message) else { return };
        line.push('\n');
        let start = Instant::now();
        self.stdout.print(line).await;
        self.longest_stall.set(self.longest_stall.get().max(start.elapsed()));
    }

    /// The line for a frame, if it is one of data. Only where a program reads it, the text may be
    /// several lines.
    fn line(&self, message: &Message) -> Option<String> {
        match message {
            Message::Text(text) if self.is_shown => Some(escape::plain(text)),
            Message::Text(text) => Some(text.as_str().to_owned()),
            Message::Binary(bytes) if bytes.len() == 1 => Some("binary, 1 byte".into()),
            Message::Binary(bytes) => Some(format!("binary, {} bytes", bytes.len())),
            _ => None,
        }
    }

    /// Tells who sits at the terminal about the connection.
    pub(super) fn tell(&self, line: &str) {
        let line = format!("{line}\n");
        if self.is_shown {
            // A terminal that is held (Ctrl-S) and full misses the line rather than a frame.
            self.stdout.offer(line);
        } else {
            let _ = shown().write_all(line.as_bytes());
        }
    }

    /// Whether the reader of stdout keeps the next line waiting.
    pub(super) fn is_held_up(&self) -> bool {
        self.stdout.is_full()
    }

    /// The longest time that a line had to wait for the reader of stdout.
    pub(super) fn longest_stall(&self) -> Duration {
        self.longest_stall.get()
    }

    /// The way to stdout, for what still waits.
    pub(super) fn close(self) -> Output {
        self.stdout
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::stdout::tests::Writes;
    use std::io::Write;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// A screen without a terminal, and what is printed on it.
    pub(in super::super) fn seen() -> (Screen, Receiver<String>) {
        let (writes, lines) = Writes::channel();
        let (stdout, _writer) = Output::start(writes).unwrap();
        (Screen::new(stdout, false), lines)
    }

    /// A stdout that holds its first write until the other end is gone.
    struct Held {
        begun: Sender<()>,
        end: Receiver<()>,
    }

    impl Write for Held {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            let _ = self.begun.send(());
            let _ = self.end.recv();
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A screen that takes no line but those that wait, as long as the sender is there.
    pub(in super::super) async fn held_up() -> (Screen, Sender<()>) {
        let (begun, begins) = channel();
        let (reader, end) = channel();
        let (stdout, _writer) = Output::start(Held { begun, end }).unwrap();
        stdout.print("first\n".into()).await;
        begins.recv().unwrap();
        (Screen::new(stdout, false), reader)
    }

    #[test]
    fn only_a_terminal_gets_escapes() {
        let (mut screen, _lines) = seen();
        let text = Message::text("a\n\u{1b}[2J\"b\"");
        assert_eq!(screen.line(&text).as_deref(), Some("a\n\u{1b}[2J\"b\""));
        screen.is_shown = true;
        assert_eq!(screen.line(&text).as_deref(), Some(r#"a\n\u001b[2J"b""#));
        assert_eq!(screen.line(&Message::binary(vec![0])).as_deref(), Some("binary, 1 byte"));
        assert_eq!(screen.line(&Message::binary(vec![])).as_deref(), Some("binary, 0 bytes"));
        assert_eq!(screen.line(&Message::Ping("x".into())), None);
    }
}
