//! Lines from stdin to a server, and frames from the server to stdout.
//!
//! [`input`] reads lines from a pipe, [`terminal`] from an interactive user. Over one connection,
//! [`conversation`] sends the lines and receives the frames, and [`awaited`] counts the outstanding
//! replies. [`screen`] prints the frames. A server may close the connection after each reply; the
//! next line then goes over a new connection. [`end`] defines the result of every other end.

mod awaited;
mod conversation;
mod counts;
mod end;
mod input;
mod screen;
mod terminal;

use std::ops::ControlFlow::{self, Break, Continue};
use std::pin::{Pin, pin};
use std::time::Duration;

use program::stop::Stop;
use proto::path;
use tokio::select;
use tokio::time::sleep;
use tracing::debug;

use crate::connection_report::ConnectionReport;
use crate::net::url::ServerUrl;
use crate::net::{self, Connected, Endpoint};
use crate::stdout::unwritable;
use conversation::{Conversation, Pace, Patience};
use counts::Counts;
use end::{End, written};
use input::{Line, Lines};
use screen::Screen;
use terminal::Terminal;

/// Longest wait for the last replies after the end of input at a terminal.
const LAST_REPLIES: Duration = Duration::from_secs(2);

/// Longest wait for a slow reader of stdout after a stop signal.
const LAST_LINES: Duration = Duration::from_millis(200);

/// The server and the output format.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server.
    pub endpoint: Endpoint,
    /// Longest silence of the server (`PONG_TIMEOUT`).
    pub patience: Duration,
    /// Prints one JSON object per line.
    pub json: bool,
}

/// Sends each line of stdin to the server, and prints each frame received. Ends on a stop signal,
/// when stdout is closed, or when the input has ended and each line has its reply.
///
/// At a terminal, lines can be edited, and the wait for the last replies is short.
///
/// # Errors
/// Why the connection failed or was lost, why the input or stdout cannot be used, or how many
/// replies are missing.
pub async fn run(options: Options, mut stop: Stop) -> Result<(), String> {
    let Options { endpoint, patience, json } = options;
    endpoint.warn_if_unchecked();
    // JSON output has no prompt.
    let terminal = if json { None } else { Terminal::open()? };
    let (screen, mut writer) = Screen::open(terminal.as_ref(), json).map_err(unwritable)?;
    let over = async {
        select! {
            () = stop.wait() => End::Stopped,
            error = writer.failed() => End::Unwritable(error),
        }
    };
    let mut talk = Talk { endpoint, patience, screen, terminal, counts: Counts::default() };
    let end = talk.run(pin!(over)).await;
    let Talk { endpoint, screen, terminal, counts, .. } = talk;
    let is_unwritable = matches!(end, End::Unwritable(_));
    // Missing replies are no error at a terminal: the user saw the replies and chose to leave.
    let missing = if terminal.is_some() { 0 } else { counts.missing };
    let outcome = end.verdict(&endpoint.url, patience, missing, screen.longest_stall());
    let complete = match is_unwritable {
        true => Ok(()),
        false => {
            let last = async {
                screen.verdict(&outcome, &counts).await;
                screen.close().complete(writer).await
            };
            select! {
                result = last => written(result),
                () = async { stop.wait().await; sleep(LAST_LINES).await } => Ok(()),
            }
        }
    };
    drop(terminal);
    outcome.and(complete)
}

struct Talk {
    endpoint: Endpoint,
    patience: Duration,
    screen: Screen,
    terminal: Option<Terminal>,
    counts: Counts,
}

impl Talk {
    /// Connects and exchanges lines and frames until the input ends or `over` completes.
    async fn run(&mut self, mut over: Pin<&mut impl Future<Output = End>>) -> End {
        let mut conversation = match self.connect(over.as_mut()).await {
            Ok(conversation) => conversation,
            Err(end) => {
                // The terminal may have echoed ^C on the cursor's line.
                if self.terminal.is_some() && matches!(end, End::Stopped) {
                    self.screen.notice("");
                }
                return end;
            }
        };
        let mut lines = match self.lines() {
            Ok(lines) => lines,
            Err(cause) => return End::Input(Some(format!("cannot read the input: {cause}"))),
        };
        let mut pace = if self.terminal.is_some() { Pace::AtOnce } else { Pace::FirstAlone };
        let mut first = None;
        loop {
            match self.over_one(conversation, &mut lines, pace, first, over.as_mut()).await {
                Break(end) => return end,
                Continue(line) => first = Some(line),
            }
            pace = Pace::EachAlone;
            conversation = match self.connect(over.as_mut()).await {
                Ok(conversation) => conversation,
                Err(end) => return end,
            };
        }
    }

    async fn connect(
        &self,
        over: Pin<&mut impl Future<Output = End>>,
    ) -> Result<Conversation<net::stream::Stream>, End> {
        let connected = select! {
            biased;
            end = over => return Err(end),
            connected = net::connect(&self.endpoint) => connected,
        };
        let connected = connected.map_err(|cause| End::NotConnected(cause.to_string()))?;
        let Connected { socket, address, phases } = connected;
        let url = self.endpoint.url.to_string();
        let connection = ConnectionReport::new(address.to_string(), phases);
        self.screen.record("connection", &connection.fields(&url, None)).await;
        Ok(Conversation::new(socket, self.screen.clone()))
    }

    /// Starts to read lines. A terminal gets a prompt, below a line about how to leave.
    fn lines(&self) -> Result<Lines, String> {
        let url = &self.endpoint.url;
        match &self.terminal {
            Some(terminal) => {
                // The line must be printed before another thread draws the prompt.
                terminal::print(&format!("connected to {url}; Ctrl-D leaves\n"));
                terminal.lines(prompt(url))
            }
            None => input::stdin().map_err(|error| error.to_string()),
        }
    }

    /// Exchanges lines and frames over one connection. Returns the line that needs a new
    /// connection, if the server closed after a reply.
    async fn over_one(
        &mut self,
        mut conversation: Conversation<net::stream::Stream>,
        lines: &mut Lines,
        pace: Pace,
        first: Option<Line>,
        mut over: Pin<&mut impl Future<Output = End>>,
    ) -> ControlFlow<End, Line> {
        let last =
            if self.terminal.is_some() { self.patience.min(LAST_REPLIES) } else { self.patience };
        let patience = Patience { busy: self.patience, last };
        let end = select! {
            biased;
            end = over.as_mut() => end,
            end = conversation.run(lines, first, pace, patience) => end,
        };
        let is_answered = conversation.is_answered();
        let Counts { sent, received, missing } = conversation.close(&end).await;
        self.counts.sent += sent;
        self.counts.received += received;
        self.counts.missing = missing;
        if !(is_answered && missing == 0 && end.is_close_after_answer()) {
            return Break(end);
        }
        self.next_line(&end, lines, over).await
    }

    /// Waits for the next line after the server has closed the connection.
    async fn next_line(
        &self,
        end: &End,
        lines: &mut Lines,
        over: Pin<&mut impl Future<Output = End>>,
    ) -> ControlFlow<End, Line> {
        let notice = format!("{}; the next line connects again", end.ending());
        if self.terminal.is_some() {
            self.screen.notice(&notice);
        } else {
            debug!("{notice}");
        }
        select! {
            biased;
            end = over => Break(end),
            line = lines.recv() => match line {
                Some(line) => Continue(line),
                None => Break(End::Input(None)),
            },
        }
    }
}

fn prompt(url: &ServerUrl) -> &'static str {
    match url.path() {
        path::TOTAL => "Number: ",
        _ => "> ",
    }
}
