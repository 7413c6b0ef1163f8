//! What is seen: a line for each frame and, where somebody types at a terminal, a prompt.

use std::cell::Cell;
use std::io::{self, IsTerminal};

use proto::escape;
use tokio_tungstenite::tungstenite::Message;

use crate::stdout::{self, Output, Writer};

/// Clears the line that the cursor is in, from its start (ECMA-48, EL).
const CLEAR_LINE: &str = "\r\u{1b}[K";

/// Stdout, and the terminal that lines are typed at, if there is one.
#[derive(Debug)]
pub(crate) struct Screen {
    stdout: Output,
    /// A terminal shows stdout, so nothing on it may move the cursor.
    is_shown: bool,
    prompt: Option<Prompt>,
}

/// What asks for the next line.
#[derive(Debug)]
struct Prompt {
    text: &'static str,
    /// Where it goes if not to stdout, between the frames.
    stderr: Option<(Output, Writer)>,
    /// It stands in the cursor's line.
    stands: Cell<bool>,
}

impl Prompt {
    /// Draws the prompt in the cursor's line. It may stand there already, where a frame came
    /// between a line and its being read.
    fn draw(&self) -> String {
        self.stands.set(true);
        format!("{CLEAR_LINE}{}", self.text)
    }
}

impl Screen {
    /// The screen of this process, and the thread behind its stdout. Lines typed at a terminal are
    /// asked for with `prompt`, on stdout or, if that is no terminal, on stderr.
    ///
    /// # Errors
    /// When the system is out of descriptors or threads.
    pub(crate) fn open(prompt: &'static str) -> io::Result<(Self, Writer)> {
        let (stdout, writer) = Output::start(stdout::open()?)?;
        let is_shown = io::stdout().is_terminal();
        let has_terminal = is_shown || io::stderr().is_terminal();
        let prompt = if io::stdin().is_terminal() && has_terminal {
            let stderr = if is_shown { None } else { Some(Output::start(io::stderr())?) };
            Some(Prompt { text: prompt, stderr, stands: Cell::new(false) })
        } else {
            None
        };
        Ok((Self { stdout, is_shown, prompt }, writer))
    }

    /// Asks for a line.
    pub(crate) async fn ask(&self) {
        if let Some(prompt) = &self.prompt {
            self.print_beside(prompt, prompt.draw()).await;
        }
    }

    /// Prints what a frame says.
    pub(crate) async fn show(&self, message: &Message) {
        let Some(mut line) = self.line(message) else { return };
        line.push('\n');
        if let Some(prompt) = &self.prompt
            && prompt.stderr.is_none()
            && prompt.stands.get()
        {
            line = [CLEAR_LINE, &line, prompt.text].concat();
        }
        self.stdout.print(line).await;
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

    /// Leaves the line of the prompt, if it stands there; it does not come again by itself.
    pub(crate) async fn leave_prompt(&self) {
        if self.prompt.as_ref().is_some_and(|prompt| prompt.stands.get()) {
            self.leave_line().await;
        }
    }

    /// Leaves the line of the cursor, where the terminal may have shown a key like Ctrl-C.
    pub(crate) async fn leave_line(&self) {
        if let Some(prompt) = &self.prompt {
            prompt.stands.set(false);
            self.print_beside(prompt, "\n".into()).await;
        }
    }

    async fn print_beside(&self, prompt: &Prompt, text: String) {
        match &prompt.stderr {
            Some((stderr, _)) => stderr.print(text).await,
            None => self.stdout.print(text).await,
        }
    }

    /// Whether whoever reads stdout keeps the next line waiting.
    pub(crate) fn is_held_up(&self) -> bool {
        self.stdout.is_full()
    }

    /// Whether there is somebody to prompt.
    pub(crate) fn has_prompt(&self) -> bool {
        self.prompt.is_some()
    }

    /// Asks no more; returns the way to stdout.
    pub(crate) async fn close(self) -> Output {
        if let Some((stderr, writer)) = self.prompt.and_then(|prompt| prompt.stderr) {
            // A prompt that cannot be shown is no loss.
            let _ = stderr.finish(String::new(), writer).await;
        }
        self.stdout
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::stdout::tests::Writes;
    use std::io::Write;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// A screen without a terminal, and what is printed on it.
    pub(crate) fn seen() -> (Screen, Receiver<String>) {
        let (writes, lines) = Writes::channel();
        let (stdout, _writer) = Output::start(writes).unwrap();
        (Screen { stdout, is_shown: false, prompt: None }, lines)
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
    pub(crate) async fn held_up() -> (Screen, Sender<()>) {
        let (begun, begins) = channel();
        let (reader, end) = channel();
        let (stdout, _writer) = Output::start(Held { begun, end }).unwrap();
        stdout.print("first\n".into()).await;
        begins.recv().unwrap();
        (Screen { stdout, is_shown: false, prompt: None }, reader)
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
