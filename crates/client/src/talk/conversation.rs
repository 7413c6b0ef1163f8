//! One connection: sends lines and receives frames concurrently.

use std::cell::Cell;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use proto::limits::CLOSE_TIMEOUT;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::select;
use tokio::time::sleep;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::awaited::Awaited;
use super::counts::Counts;
use super::end::End;
use super::input::{Line, Lines};
use super::screen::Screen;
use crate::net::closing;
use crate::net::ending::Ending;

/// Longest wait for the reply to a first line sent alone: the server may not reply at all.
const ALONE: Duration = Duration::from_secs(1);

/// Longest delay between a reply and the Close frame of a server that closes after each reply.
const CLOSES: Duration = Duration::from_millis(50);

/// An upgraded connection, and the screen that shows its frames.
#[derive(Debug)]
pub(super) struct Conversation<S> {
    sink: SplitSink<WebSocketStream<S>, Message>,
    stream: SplitStream<WebSocketStream<S>>,
    state: State,
}

/// When the next line may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// At once.
    AtOnce,
    /// The second line after the reply to the first, as the server may close the connection then;
    /// later lines at once.
    FirstAlone,
    /// Each line after the reply to the previous one: this server closes after a reply.
    EachAlone,
}

/// Time limits for the server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// While the server accepts no bytes and sends nothing.
    pub(super) busy: Duration,
    /// After the last line, between one reply and the next.
    pub(super) last: Duration,
}

/// State of the conversation.
#[derive(Debug)]
struct State {
    screen: Screen,
    awaited: Awaited,
    is_answered: Cell<bool>,
    sent: Cell<u64>,
    received: Cell<u64>,
}

impl State {
    async fn take(&self, message: &Message) {
        if message.is_text() || message.is_binary() {
            self.screen.show(message).await;
            self.received.update(|count| count + 1);
            self.is_answered.set(self.is_answered.get() || self.awaited.count() > 0);
            self.awaited.received();
        }
    }

    /// Waits until nothing was received for `patience`. Time during which stdout is blocked does
    /// not count against the server.
    async fn silence(&self, patience: Duration) {
        self.awaited.silence(patience).await;
        while self.screen.is_held_up() {
            self.awaited.silence(patience).await;
        }
    }

    /// Waits for the outstanding replies, at most `patience` for each.
    async fn replies(&self, patience: Duration) {
        select! {
            () = self.awaited.settled() => {}
            () = self.silence(patience) => {}
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    /// A conversation over an upgraded stream.
    pub(super) fn new(socket: WebSocketStream<S>, screen: Screen) -> Self {
        let (sink, stream) = socket.split();
        let state = State {
            screen,
            awaited: Awaited::default(),
            is_answered: Cell::new(false),
            sent: Cell::new(0),
            received: Cell::new(0),
        };
        Self { sink, stream, state }
    }

    /// Sends the `first` line and all others, and prints the frames, until the input or the
    /// connection ends. After dropping this future early, a caller can still call [`Self::close`].
    pub(super) async fn run(
        &mut self,
        lines: &mut Lines,
        first: Option<Line>,
        pace: Pace,
        patience: Patience,
    ) -> End {
        let Self { sink, stream, state } = self;
        let sent = async {
            let mut outgoing = Outgoing { sink, state, pace, patience: patience.busy };
            let end = outgoing.send(lines, first).await.err().unwrap_or(End::Input(None));
            if matches!(end, End::Input(_)) {
                state.replies(patience.last).await;
            }
            end
        };
        select! {
            biased;
            ending = receive(stream, state) => End::Connection(ending),
            end = sent => end,
        }
    }

    /// Whether any line was answered.
    pub(super) fn is_answered(&self) -> bool {
        self.state.is_answered.get()
    }

    /// Closes the connection, prints the frames still received, and returns the counters.
    pub(super) async fn close(self, end: &End) -> Counts {
        let Self { sink, stream, state } = self;
        // Both halves belong to one socket, so the reunion cannot fail.
        if let Ok(socket) = stream.reunite(sink) {
            closing::close(socket, end.ending(), async |message| state.take(&message).await).await;
        }
        let missing = state.awaited.count();
        Counts { sent: state.sent.get(), received: state.received.get(), missing }
    }
}

/// Prints the frames until the connection ends. tungstenite answers Ping frames.
async fn receive<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut SplitStream<WebSocketStream<S>>,
    state: &State,
) -> Ending {
    loop {
        match stream.next().await {
            Some(Ok(Message::Close(frame))) => return Ending::closed_by(frame),
            Some(Ok(message)) => state.take(&message).await,
            Some(Err(error)) => return Ending::of(error),
            None => return Ending::Lost(None),
        }
    }
}

/// The sending half of a conversation.
struct Outgoing<'a, S> {
    sink: &'a mut SplitSink<WebSocketStream<S>, Message>,
    state: &'a State,
    pace: Pace,
    patience: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Outgoing<'_, S> {
    /// Sends the lines until the input ends. Lines that are already queued are sent in one flush.
    async fn send(&mut self, lines: &mut Lines, first: Option<Line>) -> Result<(), End> {
        let mut next = first;
        loop {
            let line = match next.take().map(Some).or_else(|| lines.recv().now_or_never()) {
                Some(line) => line,
                None => {
                    self.flush().await?;
                    lines.recv().await
                }
            };
            match line {
                Some(Line::Text(text)) => self.send_line(text).await?,
                Some(Line::Unusable(cause)) => {
                    self.flush().await?;
                    return Err(End::Input(Some(cause)));
                }
                Some(Line::Interrupt) => return Err(End::Stopped),
                None => return self.flush().await,
            }
        }
    }

    async fn send_line(&mut self, text: Utf8Bytes) -> Result<(), End> {
        in_time(self.sink.feed(Message::Text(text)), self.state, self.patience).await?;
        self.state.awaited.sent();
        self.state.sent.update(|count| count + 1);
        match self.pace {
            Pace::AtOnce => return Ok(()),
            Pace::FirstAlone => {
                self.pace = Pace::AtOnce;
                self.flush().await?;
                self.state.replies(self.patience.min(ALONE)).await;
            }
            Pace::EachAlone => {
                self.flush().await?;
                self.state.replies(self.patience).await;
            }
        }
        // The connection may end here; the receiving half detects the end.
        sleep(CLOSES).await;
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), End> {
        in_time(self.sink.flush(), self.state, self.patience).await
    }
}

/// Waits for a write to complete, without a limit as long as the server keeps sending.
async fn in_time(
    written: impl Future<Output = Result<(), Error>>,
    state: &State,
    patience: Duration,
) -> Result<(), End> {
    let written = select! {
        biased;
        written = written => written,
        () = state.silence(patience) => return Err(End::Stuck),
    };
    if let Err(error) = written {
        // The server may have sent a reason before closing; the receiving half reads the reason.
        sleep(CLOSE_TIMEOUT).await;
        return Err(End::Connection(Ending::of(error)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::input;
    use super::super::screen::tests::{captured, held_up};
    use super::*;
    use std::io::Cursor;
    use tokio::io::DuplexStream;
    use tokio::time::Instant;
    use tokio_tungstenite::tungstenite::protocol::Role;

    type Server = WebSocketStream<DuplexStream>;

    const PATIENCE: Patience =
        Patience { busy: Duration::from_secs(10), last: Duration::from_secs(3) };

    /// A conversation and its server; the stream between them buffers 4 KiB.
    async fn pair(screen: Screen) -> (Conversation<DuplexStream>, Server) {
        let (near, far) = tokio::io::duplex(4096);
        let server = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
        let socket = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
        (Conversation::new(socket, screen), server)
    }

    /// Sends all lines of an input.
    async fn run(conversation: &mut Conversation<DuplexStream>, mut lines: Lines) -> End {
        conversation.run(&mut lines, None, Pace::AtOnce, PATIENCE).await
    }

    fn lines(input: impl Into<Vec<u8>>) -> Lines {
        input::lines(Cursor::new(input.into())).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn each_reply_restarts_the_time_limit() {
        let (screen, printed) = captured();
        let (mut conversation, mut server) = pair(screen).await;
        let serve = async {
            for _ in 0..3 {
                assert!(server.next().await.unwrap().unwrap().is_text());
            }
            for reply in ["one", "two"] {
                sleep(PATIENCE.last * 2 / 3).await;
                server.send(Message::text(reply)).await.unwrap();
            }
            Instant::now()
        };
        let (end, last) = tokio::join!(run(&mut conversation, lines("1\n2\n3\n")), serve);
        assert_eq!(last.elapsed(), PATIENCE.last);
        assert!(matches!(end, End::Input(None)));
        drop(server);
        let counts = Counts { sent: 3, received: 2, missing: 1 };
        assert_eq!(conversation.close(&end).await, counts);
        assert_eq!(printed.iter().collect::<Vec<_>>(), ["one\n", "two\n"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_during_the_closing_handshake_counts() {
        let (screen, printed) = captured();
        let (mut conversation, mut server) = pair(screen).await;
        let end = run(&mut conversation, lines("1\n")).await;
        let serve = async {
            assert!(server.next().await.unwrap().unwrap().is_text());
            server.send(Message::text("late")).await.unwrap();
            assert!(server.next().await.unwrap().unwrap().is_close());
            assert!(server.next().await.is_none());
            drop(server);
        };
        assert_eq!(tokio::join!(conversation.close(&end), serve).0.missing, 0);
        assert_eq!(printed.iter().collect::<Vec<_>>(), ["late\n"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_accepts_no_bytes_times_out() {
        let (mut conversation, _server) = pair(captured().0).await;
        // More than the stream and its buffers hold.
        let input = format!("{}\n", "x".repeat(60_000)).repeat(10);
        let end = run(&mut conversation, lines(input)).await;
        assert!(matches!(end, End::Stuck), "{end:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_blocked_reader_of_stdout_does_not_time_the_server_out() {
        // More lines than the queue to stdout holds.
        const LINES: usize = 100;
        let (screen, _reader) = held_up().await;
        let (mut conversation, mut server) = pair(screen).await;
        let serve = async {
            for _ in 0..LINES {
                assert!(server.next().await.unwrap().unwrap().is_text());
            }
            for _ in 0..LINES {
                server.send(Message::text("reply")).await.unwrap();
            }
            sleep(PATIENCE.last * 9).await;
        };
        select! {
            end = run(&mut conversation, lines("line\n".repeat(LINES))) => unreachable!("{end:?}"),
            () = serve => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_close_while_the_input_is_idle_ends_the_conversation_at_once() {
        let (mut conversation, mut server) = pair(captured().0).await;
        let start = Instant::now();
        server.close(None).await.unwrap();
        let (_typing, lines) = tokio::sync::mpsc::channel(1);
        assert!(matches!(run(&mut conversation, lines).await, End::Connection(Ending::Closed(_))));
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
