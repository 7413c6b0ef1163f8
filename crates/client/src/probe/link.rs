//! The connection of a probe: pings the server, asks for what only `/probe` offers, and counts what
//! the server sends on its own.

use std::time::Duration;

use proto::frame::{Message, Opcode};
use proto::path;
use proto::probe::{Ended, Hello, Pong, Request};
use tokio::time::{Instant, timeout, timeout_at};

use crate::net::ending::Ending;
use crate::net::socket::Socket;
use crate::net::tls::Session;
use crate::net::upgrade::Agreed;
use crate::net::url::ServerUrl;
use crate::net::{self, Address, ConnectError, Endpoint, Opened, Phases};
use crate::outage::activity::Activity;

/// An open connection of a probe.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) address: Address,
    pub(super) phases: Phases,
    /// TLS with the server.
    pub(super) session: Option<Session>,
    pub(super) agreed: Agreed,
    socket: Socket,
    activity: Activity,
    /// The first message of a server at `/probe`, as JSON of [`Hello`].
    hello: Option<String>,
    unsolicited: Unsolicited,
    /// Number of the last ping.
    number: u64,
}

/// Number of frames and messages that a server sent without a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unsolicited {
    /// Ping frames.
    pub(super) pings: u64,
    /// Text and binary messages.
    pub(super) messages: u64,
}

/// The reply to a ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Round-trip time.
    pub(super) time: Duration,
    /// Time between arrival and departure at the server, which only `/probe` reports.
    pub(super) server_time: Option<Duration>,
}

impl Link {
    /// Opens a connection. If the path of the URL ends with `/probe`, waits up to `patience` for the
    /// hello; its absence is no error.
    ///
    /// # Errors
    /// Why there is no connection.
    pub(super) async fn open(
        endpoint: &Endpoint,
        patience: Duration,
    ) -> Result<Self, ConnectError> {
        Self::over(net::open(endpoint).await?, &endpoint.url, patience).await
    }

    /// Like [`open`](Self::open), over a connection to `url` that is already open.
    ///
    /// # Errors
    /// How the connection ended before the hello.
    pub(super) async fn over(
        opened: Opened,
        url: &ServerUrl,
        patience: Duration,
    ) -> Result<Self, ConnectError> {
        let Opened { socket, phases, address, session, agreed } = opened;
        let activity = Activity::new(Instant::now());
        let (hello, unsolicited) = (None, Unsolicited::default());
        let mut link = Self {
            address,
            phases,
            session,
            agreed,
            socket,
            activity,
            hello,
            unsolicited,
            number: 0,
        };
        if url.path().trim_end_matches('/').ends_with(path::PROBE) {
            link.read_hello(patience).await.map_err(|ending| ending.to_string())?;
        }
        Ok(link)
    }

    async fn read_hello(&mut self, patience: Duration) -> Result<(), Ending> {
        if let Ok(first) = timeout(patience, self.receive()).await
            && let Message::Text(text) = first?
            && serde_json::from_str::<Hello<'_>>(&text).is_ok()
        {
            self.hello = Some(text.into_owned());
            self.unsolicited.messages -= 1;
        }
        Ok(())
    }

    /// The hello of a server at `/probe`.
    pub(super) fn hello(&self) -> Option<Hello<'_>> {
        self.hello.as_deref().and_then(|text| serde_json::from_str(text).ok())
    }

    /// Times of the last frames.
    pub(super) fn activity(&self) -> &Activity {
        &self.activity
    }

    /// What the server sent without a request, the hello not counted.
    pub(super) fn unsolicited(&self) -> Unsolicited {
        self.unsolicited
    }

    /// The stream below the WebSocket.
    pub(super) fn stream(&self) -> &net::stream::Stream {
        self.socket.stream()
    }

    /// Sends a message in one frame, or a control frame.
    ///
    /// # Errors
    /// How the connection ended.
    pub(super) async fn send(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), Ending> {
        self.activity.asked(Instant::now());
        self.socket.send(opcode, payload).await
    }

    /// Sends encoded frames.
    ///
    /// # Errors
    /// How the connection ended.
    pub(super) async fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Ending> {
        self.activity.asked(Instant::now());
        self.socket.send_bytes(bytes).await
    }

    /// The Close frame that the server sent before it broke the connection off under a client that
    /// was still sending; `None` without one.
    pub(super) async fn last_close(&mut self) -> Option<Ending> {
        self.socket.last_close().await
    }

    /// Sends a request to a server at `/probe`.
    ///
    /// # Errors
    /// How the connection ended.
    pub(super) async fn request(&mut self, request: &Request<'_>) -> Result<(), Ending> {
        let text = serde_json::to_string(request).unwrap_or_default();
        self.send(Opcode::Text, text.as_bytes()).await
    }

    /// The next message. Cancel-safe.
    ///
    /// # Errors
    /// How the connection ended.
    pub(super) async fn receive(&mut self) -> Result<Message<'static>, Ending> {
        let message = self.socket.receive().await?;
        self.activity.received(Instant::now());
        match message {
            Message::Ping(_) => self.unsolicited.pings += 1,
            Message::Text(_) | Message::Binary(_) => self.unsolicited.messages += 1,
            Message::Pong(_) | Message::Close(_) | Message::Deflated(..) => {}
        }
        Ok(message)
    }

    /// Keeps the connection open until then, and receives what comes.
    ///
    /// # Errors
    /// How the connection ended.
    pub(super) async fn wait_until(&mut self, until: Instant) -> Result<(), Ending> {
        let ended = async {
            loop {
                if let Err(ending) = self.receive().await {
                    break ending;
                }
            }
        };
        match timeout_at(until, ended).await {
            Ok(ending) => Err(ending),
            Err(_) => Ok(()),
        }
    }

    /// Pings the server: with a message at `/probe`, else with a Ping frame (RFC 6455, section
    /// 5.5.2).
    ///
    /// # Errors
    /// How the connection ended; [`Ending::NoPong`] without a reply within `patience`.
    pub(super) async fn ping(&mut self, patience: Duration) -> Result<Answer, Ending> {
        self.number += 1;
        within(patience, async {
            match self.hello {
                Some(_) => self.ping_probe().await,
                None => self.ping_frame().await,
            }
        })
        .await
    }

    async fn ping_probe(&mut self) -> Result<Answer, Ending> {
        let (number, sent) = (self.number, Instant::now());
        self.request(&Request::Ping(number)).await?;
        let pong =
            |text: &str| serde_json::from_str(text).ok().filter(|pong: &Pong| pong.pong == number);
        let Pong { arrived, left, .. } = self.reply(pong).await?;
        let server_time = Some(Duration::from_micros(left.saturating_sub(arrived)));
        Ok(Answer { time: sent.elapsed(), server_time })
    }

    async fn ping_frame(&mut self) -> Result<Answer, Ending> {
        let payload = self.number.to_be_bytes();
        let sent = Instant::now();
        self.send(Opcode::Ping, &payload).await?;
        self.receive_pong(&payload).await?;
        Ok(Answer { time: sent.elapsed(), server_time: None })
    }

    /// Receives until a Pong with this payload comes.
    ///
    /// # Errors
    /// How the connection ended.
    pub(super) async fn receive_pong(&mut self, payload: &[u8]) -> Result<(), Ending> {
        loop {
            if let Message::Pong(echoed) = self.receive().await?
                && *echoed == *payload
            {
                return Ok(());
            }
        }
    }

    /// Receives until a text is the reply to a request.
    async fn reply<T>(&mut self, parse: impl Fn(&str) -> Option<T>) -> Result<T, Ending> {
        loop {
            if let Message::Text(text) = self.receive().await?
                && let Some(reply) = parse(&text)
            {
                self.unsolicited.messages -= 1;
                return Ok(reply);
            }
        }
    }

    /// Asks a server at `/probe` how another connection ended. Returns JSON of [`Ended`].
    ///
    /// # Errors
    /// How this connection ended; [`Ending::NoPong`] without a reply within `patience`.
    pub(super) async fn ask_for_end(
        &mut self,
        connection: &str,
        patience: Duration,
    ) -> Result<String, Ending> {
        within(patience, async {
            self.request(&Request::Ended(connection)).await?;
            self.reply(|text| {
                serde_json::from_str::<Ended<'_>>(text).is_ok().then(|| text.to_owned())
            })
            .await
        })
        .await
    }

    /// Closes the connection, with the Close frame that `ending` calls for.
    pub(super) async fn close(self, ending: &Ending) {
        self.socket.close(ending).await;
    }
}

/// Waits for something of a connection; after `patience` the result is [`Ending::NoPong`].
///
/// # Errors
/// How the connection ended.
pub(super) async fn within<T>(
    patience: Duration,
    waiting: impl Future<Output = Result<T, Ending>>,
) -> Result<T, Ending> {
    timeout(patience, waiting).await.unwrap_or(Err(Ending::NoPong(patience)))
}
