//! One connection: lines out, frames in, both at the same time.

use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use proto::limits::CLOSE_TIMEOUT;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::select;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::net::closing;
use crate::net::ending::Ending;
use crate::talk::awaited::Awaited;
use crate::talk::end::End;
use crate::talk::input::Lines;
use crate::talk::screen::Screen;

/// A connection after its upgrade, and what is seen of it.
#[derive(Debug)]
pub(crate) struct Conversation<S> {
    sink: SplitSink<WebSocketStream<S>, Message>,
    stream: SplitStream<WebSocketStream<S>>,
    seen: Seen,
}

/// How long the server is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// While it takes no line and sends nothing.
    pub(crate) busy: Duration,
    /// After the last line, from one reply to the next.
    pub(crate) last: Duration,
}

/// What came of the conversation.
#[derive(Debug)]
struct Seen {
    screen: Screen,
    awaited: Awaited,
}

impl Seen {
    async fn take(&self, message: &Message) {
        if message.is_text() || message.is_binary() {
            self.screen.show(message).await;
            self.awaited.received();
        }
    }

    /// Waits until nothing came for as long as this. A screen that cannot be written to is no
    /// fault of the server.
    async fn silence(&self, patience: Duration) {
        self.awaited.silence(patience).await;
        while self.screen.is_held_up() {
            self.awaited.silence(patience).await;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    /// A conversation over a stream that has been upgraded.
    pub(crate) fn new(socket: WebSocketStream<S>, screen: Screen) -> Self {
        let (sink, stream) = socket.split();
        Self { sink, stream, seen: Seen { screen, awaited: Awaited::default() } }
    }

    /// Sends the lines and prints the frames until there are no more. Whoever drops this future
    /// midway can still [`Self::part`].
    pub(crate) async fn run(&mut self, lines: Lines, patience: Patience) -> End {
        let Self { sink, stream, seen } = self;
        let sent = async {
            let mut outgoing = Outgoing { sink, seen, patience: patience.busy };
            let end = outgoing.send(lines).await.err().unwrap_or(End::Input(None));
            seen.screen.leave_prompt().await;
            if matches!(end, End::Input(_)) {
                select! {
                    () = seen.awaited.settled() => {}
                    () = seen.silence(patience.last) => {}
                }
            }
            end
        };
        select! {
            biased;
            ending = receive(stream, seen) => End::Connection(ending),
            end = sent => end,
        }
    }

    /// Says goodbye, prints what still comes, and returns the number of replies that did not.
    pub(crate) async fn part(self, end: &End) -> (Screen, u64) {
        let Self { sink, stream, seen } = self;
        let leave = async {
            match end {
                End::Stopped => seen.screen.leave_line().await,
                _ => seen.screen.leave_prompt().await,
            }
        };
        // Where nobody reads the screen, it stays as it is.
        let _ = timeout(CLOSE_TIMEOUT, leave).await;
        // The two are of one socket.
        if let Ok(socket) = stream.reunite(sink) {
            closing::close(socket, end.ending(), async |message| seen.take(&message).await).await;
        }
        (seen.screen, seen.awaited.count())
    }
}

/// Prints the frames until the connection ends. Protocol pings are answered by the way.
async fn receive<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut SplitStream<WebSocketStream<S>>,
    seen: &Seen,
) -> Ending {
    loop {
        match stream.next().await {
            Some(Ok(Message::Close(frame))) => return Ending::closed_by(frame),
            Some(Ok(message)) => seen.take(&message).await,
            Some(Err(error)) => return Ending::of(error),
            None => return Ending::Lost(None),
        }
    }
}

/// The way of the lines.
struct Outgoing<'a, S> {
    sink: &'a mut SplitSink<WebSocketStream<S>, Message>,
    seen: &'a Seen,
    patience: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Outgoing<'_, S> {
    /// Sends the lines until there are no more. Those that are there already leave together.
    async fn send(&mut self, mut lines: Lines) -> Result<(), End> {
        loop {
            let next = match lines.recv().now_or_never() {
                Some(next) => next,
                None => {
                    self.flush().await?;
                    self.seen.screen.ask().await;
                    lines.recv().await
                }
            };
            match next {
                Some(Ok(line)) => self.feed(Message::Text(line)).await?,
                Some(Err(cause)) => {
                    self.flush().await?;
                    return Err(End::Input(Some(cause)));
                }
                None => return self.flush().await,
            }
        }
    }

    async fn feed(&mut self, line: Message) -> Result<(), End> {
        in_time(self.sink.feed(line), self.seen, self.patience).await?;
        self.seen.awaited.sent();
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), End> {
        in_time(self.sink.flush(), self.seen, self.patience).await
    }
}

/// Waits for the server to take what is written, which may last as long as it sends something.
async fn in_time(
    written: impl Future<Output = Result<(), Error>>,
    seen: &Seen,
    patience: Duration,
) -> Result<(), End> {
    let written = select! {
        biased;
        written = written => written,
        () = seen.silence(patience) => return Err(End::Stuck),
    };
    if let Err(error) = written {
        // The server may have said why before it hung up; the reading side finds that.
        sleep(CLOSE_TIMEOUT).await;
        return Err(End::Connection(Ending::of(error)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talk::input;
    use crate::talk::screen::tests::{held_up, seen};
    use std::io::Cursor;
    use tokio::io::DuplexStream;
    use tokio::time::Instant;
    use tokio_tungstenite::tungstenite::protocol::Role;

    type Server = WebSocketStream<DuplexStream>;

    const PATIENCE: Patience =
        Patience { busy: Duration::from_secs(10), last: Duration::from_secs(3) };

    /// A conversation and its server; the stream between them holds 4 KiB.
    async fn pair(screen: Screen) -> (Conversation<DuplexStream>, Server) {
        let (near, far) = tokio::io::duplex(4096);
        let server = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
        let socket = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
        (Conversation::new(socket, screen), server)
    }

    fn lines(input: impl Into<Vec<u8>>) -> Lines {
        input::lines(Cursor::new(input.into())).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn each_reply_is_waited_for_anew() {
        let (screen, printed) = seen();
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
        let (end, last) = tokio::join!(conversation.run(lines("1\n2\n3\n"), PATIENCE), serve);
        assert_eq!(last.elapsed(), PATIENCE.last);
        assert!(matches!(end, End::Input(None)));
        drop(server);
        assert_eq!(conversation.part(&end).await.1, 1);
        assert_eq!(printed.iter().collect::<Vec<_>>(), ["one\n", "two\n"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_to_the_goodbye_counts() {
        let (screen, printed) = seen();
        let (mut conversation, mut server) = pair(screen).await;
        let end = conversation.run(lines("1\n"), PATIENCE).await;
        let serve = async {
            assert!(server.next().await.unwrap().unwrap().is_text());
            server.send(Message::text("late")).await.unwrap();
            assert!(server.next().await.unwrap().unwrap().is_close());
            assert!(server.next().await.is_none());
            drop(server);
        };
        assert_eq!(tokio::join!(conversation.part(&end), serve).0.1, 0);
        assert_eq!(printed.iter().collect::<Vec<_>>(), ["late\n"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_takes_nothing_is_given_up() {
        let (mut conversation, _server) = pair(seen().0).await;
        // More than the stream and its buffers take.
        let input = format!("{}\n", "x".repeat(60_000)).repeat(10);
        let end = conversation.run(lines(input), PATIENCE).await;
        assert!(matches!(end, End::Stuck), "{end:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_does_not_read_is_no_fault_of_the_server() {
        // More than wait for the reader.
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
            end = conversation.run(lines("line\n".repeat(LINES)), PATIENCE) => unreachable!("{end:?}"),
            () = serve => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_closes_while_no_line_comes_ends_it_at_once() {
        let (mut conversation, mut server) = pair(seen().0).await;
        let start = Instant::now();
        server.close(None).await.unwrap();
        let (_typing, lines) = tokio::sync::mpsc::channel(1);
        assert!(matches!(
            conversation.run(lines, PATIENCE).await,
            End::Connection(Ending::Closed(_))
        ));
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
