//! A connection of a probe: asks, waits, and records what came and how the connection ended.

use std::time::Duration;

use proto::frame::{Message, Opcode};
use proto::path;
use proto::probe::{Ended, Hello, Pong, Request};
use tokio::time::{Instant, timeout, timeout_at};

use crate::net::ending::Ending;
use crate::net::socket::Socket;
use crate::net::upgrade::Agreed;
use crate::net::url::ServerUrl;
use crate::net::{self, Address, ConnectError, Endpoint, Opened, Phases};
use crate::outage::activity::Activity;

/// A connection of a probe.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) address: Address,
    pub(super) phases: Phases,
    pub(super) agreed: Agreed,
    socket: Socket,
    activity: Activity,
    /// The first message of a server at `/probe`.
    hello: Option<String>,
    heard: Heard,
    /// Number of the last request.
    number: u64,
}

/// What a server sent by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// Ping frames.
    pub(super) pings: u64,
    /// Text and binary messages.
    pub(super) messages: u64,
}

/// The answer to a ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Round-trip time.
    pub(super) time: Duration,
    /// Time within the server, which only `/probe` tells.
    pub(super) server_time: Option<Duration>,
}

impl Link {
    /// Opens a connection. If the path of the URL ends with `/probe`, waits up to `patience` for
    /// the hello; a server without one is no error.
    ///
    /// # Errors
    /// Why there is no connection.
    pub(super) async fn open(
        endpoint: &Endpoint,
        patience: Duration,
    ) -> Result<Self, ConnectError> {
        Self::over(net::open(endpoint).await?, &endpoint.url, patience).await
    }

    /// The same over a connection to `url` that is made already.
    ///
    /// # Errors
    /// How the connection ended before the hello.
    pub(super) async fn over(
        opened: Opened,
        url: &ServerUrl,
        patience: Duration,
    ) -> Result<Self, ConnectError> {
        let Opened { socket, phases, address, agreed } = opened;
        let activity = Activity::new(Instant::now());
        let (hello, heard) = (None, Heard::default());
        let mut link = Self { address, phases, agreed, socket, activity, hello, heard, number: 0 };
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
            self.heard.messages -= 1;
        }
        Ok(())
    }

    /// How a server at `/probe` introduced itself.
    pub(super) fn hello(&self) -> Option<Hello<'_>> {
        self.hello.as_deref().and_then(|text| serde_json::from_str(text).ok())
    }

    /// Times of the last frames.
    pub(super) fn activity(&self) -> &Activity {
        &self.activity
    }

    /// What the server sent without being asked, hello not counted.
    pub(super) fn heard(&self) -> Heard {
        self.heard
    }

    /// The stream below.
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

    /// Sends a request to a server at `/probe`.
    ///
    /// # Errors
    /// How the connection ended.
    pub(super) async fn request(&mut self, request: &Request<'_>) -> Result<(), Ending> {
        let text = serde_json::to_string(request).unwrap_or_default();
        self.send(Opcode::Text, text.as_bytes()).await
    }

    /// The next message. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// How the connection ended.
    pub(super) async fn receive(&mut self) -> Result<Message<'static>, Ending> {
        let message = self.socket.receive().await?;
        self.activity.received(Instant::now());
        match message {
            Message::Ping(_) => self.heard.pings += 1,
            Message::Text(_) | Message::Binary(_) => self.heard.messages += 1,
            Message::Pong(_) | Message::Close(_) => {}
        }
        Ok(message)
    }

    /// Keeps the connection open until then, and receives what the server sends by itself.
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
    /// How the connection ended; [`Ending::NoPong`] without an answer within `patience`.
    pub(super) async fn ping(&mut self, patience: Duration) -> Result<Answer, Ending> {
        let answer = timeout(patience, async {
            match self.hello {
                Some(_) => self.ping_probe().await,
                None => self.ping_frame().await,
            }
        });
        answer.await.unwrap_or(Err(Ending::NoPong(patience)))
    }

    async fn ping_probe(&mut self) -> Result<Answer, Ending> {
        self.number += 1;
        let sent = Instant::now();
        self.request(&Request::Ping(self.number)).await?;
        loop {
            if let Message::Text(text) = self.receive().await?
                && let Ok(Pong { pong, arrived, left }) = serde_json::from_str(&text)
                && pong == self.number
            {
                self.heard.messages -= 1;
                let server_time = Some(Duration::from_micros(left.saturating_sub(arrived)));
                return Ok(Answer { time: sent.elapsed(), server_time });
            }
        }
    }

    async fn ping_frame(&mut self) -> Result<Answer, Ending> {
        self.number += 1;
        let payload = self.number.to_be_bytes();
        let sent = Instant::now();
        self.send(Opcode::Ping, &payload).await?;
        loop {
            if let Message::Pong(echoed) = self.receive().await?
                && *echoed == payload
            {
                return Ok(Answer { time: sent.elapsed(), server_time: None });
            }
        }
    }

    /// Asks a server at `/probe` how another connection ended, as JSON of [`Ended`].
    ///
    /// # Errors
    /// How this connection ended; [`Ending::NoPong`] without an answer within `patience`.
    pub(super) async fn ask_for_end(
        &mut self,
        connection: &str,
        patience: Duration,
    ) -> Result<String, Ending> {
        let answer = timeout(patience, async {
            self.request(&Request::Ended(connection)).await?;
            loop {
                if let Message::Text(text) = self.receive().await?
                    && serde_json::from_str::<Ended<'_>>(&text).is_ok()
                {
                    self.heard.messages -= 1;
                    return Ok(text.into_owned());
                }
            }
        });
        answer.await.unwrap_or(Err(Ending::NoPong(patience)))
    }

    /// Closes the connection as its ending asks for.
    pub(super) async fn close(self, ending: &Ending) {
        self.socket.close(ending).await;
    }
}
