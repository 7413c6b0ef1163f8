//! The output of received frames: one line for each frame.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use program::standard_streams::standard_output;
use proto::escape;
use serde::Serialize;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::counts::Counts;
use super::terminal::{self, Terminal};
use crate::format::{bytes, counted};
use crate::record;
use crate::stdout::{Output, Writer};

/// How a frame is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// Unchanged, for a program that reads stdout.
    Raw,
    /// With control characters escaped, as stdout is a terminal.
    Escaped,
    /// As a JSON object.
    Json,
}

/// The JSON fields of a frame.
#[derive(Serialize)]
struct Fields<'a> {
    /// `text` or `binary`.
    kind: &'static str,
    /// `None` for a binary frame.
    text: Option<&'a str>,
    bytes: usize,
}

/// Stdout.
#[derive(Clone, Debug)]
pub(super) struct Screen {
    stdout: Output,
    style: Style,
    /// Longest time that a line waited for the reader of stdout.
    longest_stall: Rc<Cell<Duration>>,
}

impl Screen {
    /// The screen of this process, and its writer thread.
    ///
    /// # Errors
    /// If the thread cannot be spawned.
    pub(super) fn open(terminal: Option<&Terminal>, is_json: bool) -> io::Result<(Self, Writer)> {
        let style = match io::stdout().is_terminal() {
            _ if is_json => Style::Json,
            true => Style::Escaped,
            false => Style::Raw,
        };
        let is_shown = style == Style::Escaped;
        let above = terminal.filter(|_| is_shown).and_then(Terminal::printer);
        let (stdout, writer) = match above {
            Some(above) => Output::start(above)?,
            None => Output::start(standard_output())?,
        };
        Ok((Self::new(stdout, style), writer))
    }

    fn new(stdout: Output, style: Style) -> Self {
        Self { stdout, style, longest_stall: Rc::default() }
    }

    /// Prints a frame.
    pub(super) async fn show(&self, message: &Message) {
        let Some(line) = self.line(message) else { return };
        let start = Instant::now();
        self.stdout.print(line).await;
        self.longest_stall.set(self.longest_stall.get().max(start.elapsed()));
    }

    /// Prints a JSON object, if the style is JSON.
    pub(super) async fn record(&self, r#type: &'static str, fields: &impl Serialize) {
        if self.style == Style::Json
            && let Ok(line) = record::line(r#type, SystemTime::now(), fields)
        {
            self.stdout.print(line).await;
        }
    }

    /// Prints the verdict as JSON, if the style is JSON.
    pub(super) async fn verdict(&self, outcome: &Result<(), String>, counts: &Counts) {
        if self.style != Style::Json {
            return;
        }
        let Counts { sent, received, .. } = counts;
        let good = format!("{}, {}", counted(*sent, "line"), counted(*received, "frame"));
        let text = outcome.as_ref().err().unwrap_or(&good);
        let ok = Some(outcome.is_ok());
        let verdict = record::Verdict { probe: "talk", ok, text, fields: counts };
        if let Ok(line) = record::verdict(&verdict) {
            self.stdout.print(line).await;
        }
    }

    /// The line for a data frame; `None` for a control frame. In the raw style the text may contain
    /// line feeds.
    fn line(&self, message: &Message) -> Option<String> {
        if self.style == Style::Json {
            let fields = fields(message)?;
            return record::line("message", SystemTime::now(), &fields).ok();
        }
        let mut line = match message {
            Message::Text(text) if self.style == Style::Escaped => escape::plain(text),
            Message::Text(text) => text.as_str().to_owned(),
            Message::Binary(payload) => format!("binary, {}", bytes(payload.len())),
            _ => return None,
        };
        line.push('\n');
        Some(line)
    }

    /// Prints a notice about the connection to the user at the terminal.
    pub(super) fn notice(&self, line: &str) {
        let line = format!("{line}\n");
        if self.style == Style::Escaped {
            // On a terminal paused with Ctrl-S and a full queue, the notice is dropped rather than
            // a frame.
            self.stdout.offer(line);
        } else {
            terminal::print(&line);
        }
    }

    /// Whether the next line has to wait for the reader of stdout.
    pub(super) fn is_held_up(&self) -> bool {
        self.stdout.is_full()
    }

    /// Longest time that a line waited for the reader of stdout.
    pub(super) fn longest_stall(&self) -> Duration {
        self.longest_stall.get()
    }

    /// Closes the screen; returns the output with the lines still queued.
    pub(super) fn close(self) -> Output {
        self.stdout
    }
}

/// The JSON fields of a data frame; `None` for a control frame.
fn fields(message: &Message) -> Option<Fields<'_>> {
    match message {
        Message::Text(text) => {
            Some(Fields { kind: "text", text: Some(text.as_str()), bytes: text.len() })
        }
        Message::Binary(bytes) => Some(Fields { kind: "binary", text: None, bytes: bytes.len() }),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::stdout::tests::Writes;
    use std::io::Write;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// A screen without a terminal, and the text printed to it.
    pub(in super::super) fn captured() -> (Screen, Receiver<String>) {
        let (writes, lines) = Writes::channel();
        let (stdout, _writer) = Output::start(writes).unwrap();
        (Screen::new(stdout, Style::Raw), lines)
    }

    /// A stdout that blocks in its first write until the sender is dropped.
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

    /// A screen with a full queue, blocked until the sender is dropped.
    pub(in super::super) async fn held_up() -> (Screen, Sender<()>) {
        let (begun, begins) = channel();
        let (reader, end) = channel();
        let (stdout, _writer) = Output::start(Held { begun, end }).unwrap();
        stdout.print("first\n".into()).await;
        begins.recv().unwrap();
        (Screen::new(stdout, Style::Raw), reader)
    }

    #[test]
    fn only_a_terminal_gets_escaped_text() {
        let (mut screen, _lines) = captured();
        let text = Message::text("a\n\u{1b}[2J\"b\"");
        assert_eq!(screen.line(&text).as_deref(), Some("a\n\u{1b}[2J\"b\"\n"));
        screen.style = Style::Escaped;
        assert_eq!(screen.line(&text).as_deref(), Some(concat!(r#"a\n\u001b[2J"b""#, "\n")));
        assert_eq!(screen.line(&Message::binary(vec![0])).as_deref(), Some("binary, 1 byte\n"));
        assert_eq!(screen.line(&Message::binary(vec![])).as_deref(), Some("binary, 0 bytes\n"));
        assert_eq!(screen.line(&Message::Ping("x".into())), None);
    }
}
