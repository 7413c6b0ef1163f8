//! The connection of a probe: pings the server, asks for what only `/probe` offers, and tracks the
//! activity.

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

/// Bytes that are shown of a text in place of a frame.
const SHOWN: usize = 60;

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
    /// Number of Ping frames from the server.
    pings: u64,
    /// Number of the last ping of the client.
    number: u64,
}

/// The beginning of plain text, up to [`SHOWN`] bytes; `None` if the bytes are something else. ASCII
/// looks like a frame with FIN unset, mostly with reserved bits or a reserved opcode.
fn text(bytes: &[u8]) -> Option<&str> {
    let beginning = &bytes[..bytes.len().min(SHOWN)];
    let text = match str::from_utf8(beginning) {
        Ok(text) => text,
        // The last character may be cut.
        Err(error) if error.error_len().is_none() => {
            str::from_utf8(&beginning[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let is_plain = |char: char| !char.is_control() || matches!(char, '\r' | '\n' | '\t');
    (text.len() > 1 && text.chars().all(is_plain)).then_some(text)
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
        let (hello, pings, number) = (None, 0, 0);
        let mut link =
            Self { address, phases, session, agreed, socket, activity, hello, pings, number };
        if url.path().trim_end_matches('/').ends_with(path::PROBE) {
            link.read_hello(patience).await.map_err(|ending| link.explained(ending).to_string())?;
        }
        Ok(link)
    }

    async fn read_hello(&mut self, patience: Duration) -> Result<(), Ending> {
        if let Ok(first) = timeout(patience, self.receive()).await
            && let Message::Text(text) = first?
            && serde_json::from_str::<Hello<'_>>(&text).is_ok()
        {
            self.hello = Some(text.into_owned());
        }
        Ok(())
    }

    /// The ending, with the beginning of the text that came where a frame should begin, if one did.
    pub(super) fn explained(&self, ending: Ending) -> Ending {
        match (ending, text(self.socket.undecoded())) {
            (Ending::Refused(code, _), Some(text)) => {
                Ending::Refused(code, format!("text came where a frame should begin: {text:?}"))
            }
            (ending, _) => ending,
        }
    }

    /// The hello of a server at `/probe`.
    pub(super) fn hello(&self) -> Option<Hello<'_>> {
        self.hello.as_deref().and_then(|text| serde_json::from_str(text).ok())
    }

    /// Times of the last frames.
    pub(super) fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Number of Ping frames from the server.
    pub(super) fn pings(&self) -> u64 {
        self.pings
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

    /// The Close frame that the server sent before it broke off the connection while the client was
    /// sending; `None` without one.
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
        self.pings += u64::from(matches!(message, Message::Ping(_)));
        Ok(message)
    }

    /// Receives messages until the time `until`, and drops them.
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
    /// 5.5.2). Returns the round-trip time.
    ///
    /// # Errors
    /// How the connection ended; [`Ending::NoPong`] without a reply within `patience`.
    pub(super) async fn ping(&mut self, patience: Duration) -> Result<Duration, Ending> {
        self.number += 1;
        let (number, sent) = (self.number, Instant::now());
        within(patience, async {
            if self.hello.is_some() {
                self.request(&Request::Ping(number)).await?;
                self.reply(|text| {
                    serde_json::from_str(text).ok().filter(|pong: &Pong| pong.pong == number)
                })
                .await?;
            } else {
                let payload = number.to_be_bytes();
                self.send(Opcode::Ping, &payload).await?;
                self.receive_pong(&payload).await?;
            }
            Ok(sent.elapsed())
        })
        .await
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

/// Awaits a future that uses a connection; after `patience` the result is [`Ending::NoPong`].
///
/// # Errors
/// How the connection ended.
pub(super) async fn within<T>(
    patience: Duration,
    waiting: impl Future<Output = Result<T, Ending>>,
) -> Result<T, Ending> {
    timeout(patience, waiting).await.unwrap_or(Err(Ending::NoPong(patience)))
}
