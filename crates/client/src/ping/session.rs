//! One connection: pings, their replies, and the end.

use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use proto::PONG;
use proto::frame::CloseCode;
use proto::ping::ERROR_PREFIX;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::select;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::reporter::Reporter;
use crate::net::closing;
use crate::net::ending::Ending;

/// How much longer than the lag the next ping waits for room on stdout. A reader that is merely
/// slow sets the pace; one that does not read at all loses lines.
const HELD_UP: Duration = Duration::from_secs(1);

/// What is sent, and when.
#[derive(Clone, Debug)]
pub struct Pings {
    /// The text of each ping.
    pub text: Utf8Bytes,
    /// Time between a reply and the next ping (`LAG_TIME`).
    pub lag: Duration,
    /// Time that a reply may take (`PONG_TIMEOUT`).
    pub patience: Duration,
}

/// A connection after its upgrade.
#[derive(Debug)]
pub struct Session<S> {
    socket: WebSocketStream<S>,
    pings: Pings,
    /// When the ping that has no answer yet was sent.
    awaited: Option<Instant>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// A session over a stream that has been upgraded.
    pub fn new(socket: WebSocketStream<S>, pings: Pings) -> Self {
        Self { socket, pings, awaited: None }
    }

    /// Pings until the connection ends. Whoever drops this future midway can still [`Self::part`].
    pub async fn run(&mut self, reporter: &mut Reporter) -> Ending {
        loop {
            if let Err(ending) = self.ping(reporter).await {
                return ending;
            }
            if let Err(ending) = self.rest(reporter).await {
                return ending;
            }
        }
    }

    /// Sends a ping and waits for its answer.
    async fn ping(&mut self, reporter: &mut Reporter) -> Result<(), Ending> {
        let sent = Instant::now();
        self.awaited = Some(sent);
        let patience = self.pings.patience;
        let text = Message::Text(self.pings.text.clone());
        timeout(patience, self.socket.send(text))
            .await
            .map_err(|_| Ending::NoPong(patience))?
            .map_err(Ending::of)?;
        while self.awaited.is_some() {
            let text = timeout_at(sent + patience, self.receive()).await;
            // A timeout that has passed is not seen while there is always a text to read.
            if sent.elapsed() >= patience {
                return Err(Ending::NoPong(patience));
            }
            let text = text.map_err(|_| Ending::NoPong(patience))??;
            self.take(&text, reporter);
        }
        Ok(())
    }

    /// Reports a text: the answer to the ping that has none yet, or something unasked.
    fn take(&mut self, text: &str, reporter: &mut Reporter) {
        match self.awaited {
            Some(sent) if text == PONG => reporter.received(text, sent.elapsed()),
            Some(_) if text.starts_with(ERROR_PREFIX) => reporter.refused(text),
            _ => return reporter.unasked(text),
        }
        self.awaited = None;
    }

    /// Lets the time between two pings pass, and waits for room on stdout. The socket is read
    /// meanwhile: protocol pings are answered, and the end of the connection is seen when it comes.
    async fn rest(&mut self, reporter: &mut Reporter) -> Result<(), Ending> {
        self.read_until(Instant::now() + self.pings.lag, reporter).await?;
        let output = reporter.output();
        let held_up = Instant::now() + HELD_UP;
        select! {
            biased;
            () = output.room() => Ok(()),
            read = self.read_until(held_up, reporter) => read,
        }
    }

    /// Reads the socket up to this time, and what is there already in any case.
    async fn read_until(&mut self, until: Instant, reporter: &mut Reporter) -> Result<(), Ending> {
        loop {
            let next = self.receive();
            // A timer takes a millisecond, however short its time is.
            let received = if until <= Instant::now() {
                next.now_or_never()
            } else {
                timeout_at(until, next).await.ok()
            };
            let Some(text) = received else { return Ok(()) };
            self.take(&text?, reporter);
            // Whatever else is there to read has time until after the next ping.
            if until <= Instant::now() {
                return Ok(());
            }
        }
    }

    /// Waits for a text.
    async fn receive(&mut self) -> Result<Utf8Bytes, Ending> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Binary(_))) => {
                    let reason = "the client takes text frames".into();
                    return Err(Ending::Refused(CloseCode::UNSUPPORTED, reason));
                }
                Some(Ok(Message::Close(frame))) => return Err(Ending::closed_by(frame)),
                Some(Err(error)) => return Err(Ending::of(error)),
                None => return Err(Ending::Lost(None)),
            }
        }
    }

    /// Closes the connection as the ending asks for; takes
    /// [`CLOSE_TIMEOUT`](proto::limits::CLOSE_TIMEOUT) at most. A ping that has no answer is lost,
    /// except where the client itself stops: then the answer is taken if it still comes, and
    /// otherwise the ping counts as never sent.
    pub async fn part(mut self, ending: &Ending, reporter: &mut Reporter) {
        let stopped = matches!(ending, Ending::Stopped);
        if self.awaited.is_some() && !stopped {
            self.awaited = None;
            reporter.lost_ping();
        }
        let late = async |message| {
            if let Message::Text(text) = message
                && let Some(sent) = self.awaited
                && text == PONG
            {
                self.awaited = None;
                reporter.received(&text, sent.elapsed());
            }
        };
        closing::close(self.socket, ending, late).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Endpoint;
    use crate::ping::stats::Stats;
    use crate::stdout::Output;
    use crate::stdout::tests::Writes;
    use proto::limits::CLOSE_TIMEOUT;
    use std::sync::mpsc::Receiver;
    use tokio::io::DuplexStream;
    use tokio::time::sleep;
    use tokio_tungstenite::tungstenite::protocol::Role;

    type Server = WebSocketStream<DuplexStream>;

    const LAG: Duration = Duration::from_secs(2);
    const PATIENCE: Duration = Duration::from_secs(10);

    struct Client {
        session: Session<DuplexStream>,
        reporter: Reporter,
        lines: Receiver<String>,
    }

    impl Client {
        fn report(&self) -> String {
            self.reporter.report().lines().nth(2).unwrap_or_default().to_owned()
        }

        fn said(&self) -> String {
            let line = self.lines.recv().unwrap();
            line.split_once("server: ").unwrap().1.trim_end().to_owned()
        }
    }

    async fn pair() -> (Client, Server) {
        let (near, far) = tokio::io::duplex(4096);
        let server = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
        let socket = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
        let pings = Pings { text: "ping".into(), lag: LAG, patience: PATIENCE };
        let (writes, lines) = Writes::channel();
        let (output, _writer) = Output::start(writes).unwrap();
        let endpoint = Endpoint::new("ws://server".parse().unwrap());
        let reporter = Reporter::new(&endpoint, output, Stats::new().unwrap());
        (Client { session: Session::new(socket, pings), reporter, lines }, server)
    }

    /// Runs the client against what `serve` does; returns how that ended.
    async fn converse(
        client: &mut Client,
        server: &mut Server,
        serve: impl AsyncFnOnce(&mut Server),
    ) -> Ending {
        tokio::join!(client.session.run(&mut client.reporter), serve(server)).0
    }

    async fn ping(server: &mut Server) {
        assert_eq!(server.next().await.unwrap().unwrap(), Message::text("ping"));
    }

    async fn say(server: &mut Server, text: &str) {
        server.send(Message::text(text)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_lag_lies_between_a_reply_and_the_next_ping() {
        let (mut client, mut server) = pair().await;
        let ending = converse(&mut client, &mut server, async |server| {
            for delay in [Duration::from_secs(1), Duration::ZERO, Duration::from_secs(9)] {
                ping(server).await;
                sleep(delay).await;
                say(server, "Pong!").await;
                let replied = Instant::now();
                ping(server).await;
                assert_eq!(replied.elapsed(), LAG);
                say(server, "Pong!").await;
            }
            server.close(None).await.unwrap();
        });
        assert!(matches!(ending.await, Ending::Closed(None)));
        assert!(client.report().starts_with("6 sent, 6 received"), "{}", client.report());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_that_takes_too_long_ends_the_connection() {
        let (mut client, mut server) = pair().await;
        let start = Instant::now();
        let ending = converse(&mut client, &mut server, async |server| {
            ping(server).await;
            // Signs of life are no reply.
            for _ in 0..5 {
                sleep(PATIENCE / 6).await;
                server.send(Message::Ping("alive?".into())).await.unwrap();
                assert!(matches!(server.next().await, Some(Ok(Message::Pong(_)))));
            }
        })
        .await;
        assert_eq!(start.elapsed(), PATIENCE);
        assert!(matches!(ending, Ending::NoPong(PATIENCE)));
        say(&mut server, "Pong!").await;
        drop(server);
        client.session.part(&ending, &mut client.reporter).await;
        assert!(client.reporter.report().contains("1 sent, 0 received, 1 lost (100%)"));
        assert!(client.lines.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_is_seen_at_once_between_two_pings() {
        let (mut client, mut server) = pair().await;
        let start = Instant::now();
        let ending = converse(&mut client, &mut server, async |server| {
            ping(server).await;
            say(server, "Pong!").await;
            server.send(Message::Ping("alive?".into())).await.unwrap();
            assert!(matches!(server.next().await, Some(Ok(Message::Pong(_)))));
            server.close(None).await.unwrap();
        });
        assert!(matches!(ending.await, Ending::Closed(None)));
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(client.report().starts_with("1 sent, 1 received, 0 lost"), "{}", client.report());
    }

    #[tokio::test(start_paused = true)]
    async fn only_answers_are_counted_but_all_is_printed() {
        let (mut client, mut server) = pair().await;
        let ending = converse(&mut client, &mut server, async |server| {
            ping(server).await;
            say(server, "Error: no room").await;
            say(server, "by the way").await;
            ping(server).await;
            say(server, "Pong!").await;
            server.send(Message::binary(vec![1])).await.unwrap();
        });
        assert!(matches!(ending.await, Ending::Refused(CloseCode::UNSUPPORTED, _)));
        let report = client.report();
        assert!(report.starts_with("2 sent, 1 received, 1 lost (50%), 1 error,"), "{report}");
        assert_eq!(
            ["Error: no room", "by the way", "Pong!"].map(|_| client.said()),
            ["Error: no room", "by the way", "Pong!"]
        );
    }

    /// Stops a client that waits for a reply; returns its statistics.
    async fn stopped_midway(late: &[&str]) -> String {
        let (mut client, mut server) = pair().await;
        tokio::select! {
            _ = client.session.run(&mut client.reporter) => unreachable!(),
            () = ping(&mut server) => {}
        }
        let Client { session, mut reporter, .. } = client;
        let answer = async {
            for text in late {
                say(&mut server, text).await;
            }
            let Some(Ok(Message::Close(Some(frame)))) = server.next().await else { panic!() };
            assert_eq!(u16::from(frame.code), 1000);
            server.next().await;
            drop(server);
        };
        tokio::join!(session.part(&Ending::Stopped, &mut reporter), answer);
        reporter.report()
    }

    #[tokio::test(start_paused = true)]
    async fn a_ping_on_its_way_at_the_stop_is_received_or_never_sent() {
        let start = Instant::now();
        assert!(stopped_midway(&["Pong!"]).await.contains("1 sent, 1 received, 0 lost"));
        assert!(stopped_midway(&[]).await.contains("0 sent, 0 received, 0 lost"));
        assert!(stopped_midway(&["Pong!", "more"]).await.contains("1 sent, 1 received, 0 lost"));
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_ignores_the_goodbye_is_not_waited_for_long() {
        let (mut client, _server) = pair().await;
        let start = Instant::now();
        client.session.part(&Ending::Stopped, &mut client.reporter).await;
        assert_eq!(start.elapsed(), CLOSE_TIMEOUT);
    }
}
