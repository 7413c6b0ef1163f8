//! Input from an interactive user: a line editor with a history.
//!
//! The editor (rustyline) blocks on key presses, so it runs in a separate thread. Output printed
//! meanwhile appears above the line being edited.

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use program::patience;
use program::standard_streams::{standard_error, standard_output};
use proto::limits::MAX_MESSAGE;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::config::Behavior;
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor, ExternalPrinter, Prompt};
use tokio::sync::mpsc;

use super::input::{self, Line, Lines};

/// Longest wait for a terminal that takes nothing: its connection hangs, or Ctrl-S has paused it.
const PATIENCE: Duration = Duration::from_millis(200);

/// Lines that the history keeps.
const HISTORY: usize = 1000;

type LineEditor = Editor<(), MemHistory>;

/// The terminal of this process. Dropping the value restores the terminal's modes.
pub(super) struct Terminal {
    /// The editor, until the reading thread takes it.
    editor: Mutex<Option<LineEditor>>,
    original: Termios,
    /// Whether the last line shows the prompt.
    has_prompt: Arc<AtomicBool>,
}

impl Terminal {
    /// The terminal, if both stdin and the output are one.
    ///
    /// # Errors
    /// If the terminal cannot be used.
    pub(super) fn open() -> Result<Option<Self>, String> {
        let is_shown = io::stdout().is_terminal();
        if !io::stdin().is_terminal() || !(is_shown || io::stderr().is_terminal()) {
            return Ok(None);
        }
        let behavior = if is_shown { Behavior::Stdio } else { Behavior::PreferTerm };
        let unusable = |error: ReadlineError| format!("cannot use the terminal: {error}");
        let config = Config::builder().max_history_size(HISTORY).map_err(unusable)?;
        let config = config
            .auto_add_history(true)
            .behavior(behavior)
            // Pasted text is handled as typed text: each of its lines is sent.
            .bracketed_paste(false)
            .build();
        let history = MemHistory::with_config(&config);
        let editor = LineEditor::with_history(config, history).map_err(unusable)?;
        let original =
            tcgetattr(io::stdin()).map_err(|error| unusable(io::Error::from(error).into()))?;
        Ok(Some(Self { editor: Mutex::new(Some(editor)), original, has_prompt: Arc::default() }))
    }

    /// A writer that prints above the line being edited, if the terminal supports one.
    pub(super) fn printer(&self) -> Option<impl Write + Send + use<>> {
        let mut editor = self.editor.lock().unwrap_or_else(PoisonError::into_inner);
        let printer = editor.as_mut()?.create_external_printer().ok()?;
        Some(Above { printer, has_printed: false })
    }

    /// Starts to read lines with this prompt.
    ///
    /// # Errors
    /// If the thread cannot be spawned.
    pub(super) fn lines(&self, prompt: &'static str) -> Result<Lines, String> {
        let (lines, receiver) = mpsc::channel(input::QUEUE);
        let editor = self.editor.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut editor = editor.ok_or("the terminal is read already")?;
        let has_prompt = Arc::clone(&self.has_prompt);
        let read = move || {
            for number in 1_u64.. {
                has_prompt.store(true, Ordering::SeqCst);
                let typed = editor.readline(prompt);
                has_prompt.store(false, Ordering::SeqCst);
                let Some(line) = line(typed, number) else {
                    // The editor prints external output only while it reads, and the last replies
                    // are still outstanding. The program exits before this read returns.
                    let _ = editor.readline(&LastPrompt(Cell::new(Some(lines))));
                    return;
                };
                let is_last = !matches!(line, Line::Text(_));
                if lines.blocking_send(line).is_err() || is_last {
                    return;
                }
            }
        };
        thread::Builder::new()
            .name("editor".into())
            .spawn(read)
            .map_err(|error| error.to_string())?;
        Ok(receiver)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The editor may still be waiting for keys, with the terminal in raw mode.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.original);
        if self.has_prompt.load(Ordering::SeqCst) {
            print("\n");
        }
    }
}

/// Prints a text in one write, on the stream of this process that is connected to the terminal. Does
/// not wait long for a terminal that takes nothing.
pub(super) fn print(text: &str) {
    let text = text.to_owned();
    patience::wait_for(PATIENCE, move || {
        // A failed write means that the terminal is closed.
        let _ = match io::stdout().is_terminal() {
            true => standard_output().write_all(text.as_bytes()),
            false => standard_error().write_all(text.as_bytes()),
        };
    });
}

/// The line for one result of the editor; `None` at the end of input.
fn line(typed: rustyline::Result<String>, number: u64) -> Option<Line> {
    Some(match typed {
        Ok(text) if text.len() > MAX_MESSAGE => Line::too_long(number),
        Ok(text) => Line::Text(text.into()),
        Err(ReadlineError::Eof) => return None,
        Err(ReadlineError::Interrupted) => Line::Interrupt,
        Err(error) => Line::Unusable(format!("cannot read line {number} of the input: {error}")),
    })
}

/// The empty prompt after the end of the input. Ends the lines when the editor reads the prompt:
/// from then on the editor is reading again, so it prints the last replies behind earlier output.
struct LastPrompt(Cell<Option<mpsc::Sender<Line>>>);

impl Prompt for LastPrompt {
    fn raw(&self) -> &str {
        drop(self.0.take());
        ""
    }
}

/// A text that changes nothing on the screen: one row up, and down again.
const NOTHING: &str = "\x1b[A\n";

/// Prints whole lines above the line being edited.
struct Above<P> {
    printer: P,
    has_printed: bool,
}

impl<P: ExternalPrinter> Write for Above<P> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        match self.printer.print(text) {
            Ok(()) => {
                self.has_printed = true;
                Ok(bytes.len())
            }
            // The editor has ended, so no line is being edited.
            Err(_) => standard_output().write(bytes),
        }
    }

    /// Waits until the editor has printed everything. The editor takes one text at a time, and its
    /// queue holds one more. So when the second [`NOTHING`] is accepted, the first one was taken,
    /// and all text before is on the screen.
    fn flush(&mut self) -> io::Result<()> {
        if self.has_printed && self.printer.print(NOTHING.into()).is_ok() {
            // An error means that the editor has ended.
            let _ = self.printer.print(NOTHING.into());
        }
        Ok(())
    }
}
