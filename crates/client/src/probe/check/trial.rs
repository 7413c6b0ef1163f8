//! Carries a check out, on a connection of its own.

use std::time::Duration;

use proto::frame::{Mask, Message, Opcode, encode};
use proto::limits::{CONNECT_TIMEOUT, MAX_REPLY};
use tokio::time::{Instant, timeout};

use super::Outcome::{Failed, Warned};
use super::judge::{self, End, Judged, Seen};
use super::list::{Check, Sent, Trial, Wanted};
use super::request::{Answer, Change, Head, Request, shortened};
use crate::net::ConnectError;
use crate::net::ending::Ending;
use crate::net::route::Route;
use crate::net::socket::{Socket, mask};
use crate::net::stream::Stream;
use crate::words::seconds;

/// What a service that returns texts is found out with.
const PROBE: &str = "check-of-rfc-6455";

/// The Ping that shows whether the server goes on.
const NEXT: &[u8] = b"next";

/// How long a text may take to come back, beside a round trip.
const GRACE: Duration = Duration::from_millis(250);

/// How many bytes that were sent are shown.
const SHOWN: usize = 16;

/// A server to check.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) route: &'a Route,
    /// Longest wait for an answer.
    pub(super) patience: Duration,
}

/// The end of an opening handshake.
struct Upgraded {
    socket: Socket,
    /// How long the answer took.
    time: Duration,
}

/// The masked frames of a check as bytes.
pub(super) fn bytes(sent: Sent) -> Vec<u8> {
    match sent {
        Sent::Masked(frames) => {
            frames.iter().flat_map(|(first, payload)| frame(*first, payload, mask())).collect()
        }
        Sent::Pieces(first, payload) => frame(first, payload, mask()),
        Sent::Raw(bytes) => bytes.to_vec(),
        Sent::Text(length) => {
            let mut bytes = Vec::new();
            encode(&mut bytes, Opcode::Text, &vec![b'x'; length], Some(mask()));
            bytes
        }
    }
}

/// A frame whose first byte is this one: final or not, reserved bits, and opcode.
fn frame(first: u8, payload: &[u8], mask: Mask) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes, Opcode::Binary, payload, Some(mask));
    bytes[0] = first;
    bytes
}

impl Target<'_> {
    /// Carries a check out. The text is what was sent and what came.
    pub(super) async fn run(&self, check: &Check) -> Judged {
        match &check.trial {
            Trial::Answer(part) => {
                self.request(Change::None, |request, head| judge::part(*part, request, head)).await
            }
            Trial::Request(change, due) => {
                self.request(*change, |_, head| judge::answer(*due, head)).await
            }
            Trial::Frames(sent, wanted) => self.frames(*sent, wanted).await,
        }
    }

    /// Whether the server answers the usual request with 101.
    pub(super) async fn is_there(&self) -> bool {
        matches!(self.exchange(Change::None).await, Ok((_, _, Answer::Head(head, _))) if head.status == 101)
    }

    /// Sends a request; returns the stream, the request and the answer.
    async fn exchange(&self, change: Change) -> Result<(Stream, Request, Answer), String> {
        let cannot = |error: ConnectError| format!("no connection: {error}");
        let request = Request::new(&self.route.request().map_err(cannot)?, change);
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        let mut stream = self.route.stream(deadline).await.map_err(cannot)?;
        let answer = timeout(self.patience, request.exchange(&mut stream)).await;
        let answer = answer.map_err(|_| format!("nothing within {}", seconds(self.patience)))?;
        Ok((stream, request, answer))
    }

    async fn request(
        &self,
        change: Change,
        judge: impl FnOnce(&Request, &Head) -> Judged,
    ) -> Judged {
        let sent = described(change);
        let (outcome, came) = match self.exchange(change).await {
            Ok((_, request, Answer::Head(head, _))) => judge(&request, &head),
            Ok((_, _, Answer::End(error))) => {
                // Section 10.7: a server may drop the connection.
                let outcome = if change.is_to_be_served() { Failed } else { Warned };
                let how = error.map_or_else(|| "the end of TCP".into(), |error| error.to_string());
                (outcome, format!("{how} without an answer"))
            }
            Ok((_, _, Answer::Other(bytes))) => (Failed, no_http(&bytes)),
            Err(cause) => (Failed, cause),
        };
        (outcome, format!("sent {sent}; came {came}"))
    }

    async fn upgrade(&self) -> Result<Upgraded, String> {
        let begun = Instant::now();
        match self.exchange(Change::None).await? {
            (stream, _, Answer::Head(head, early)) if head.status == 101 => {
                let socket = Socket::new(stream, early, MAX_REPLY);
                Ok(Upgraded { socket, time: begun.elapsed() })
            }
            (_, _, Answer::Head(head, _)) => Err(shortened(&head.line)),
            (_, _, Answer::Other(bytes)) => Err(no_http(&bytes)),
            (_, _, Answer::End(_)) => Err("the end of TCP".into()),
        }
    }

    async fn frames(&self, sent: Sent, wanted: &Wanted) -> Judged {
        let Upgraded { socket, time } = match self.upgrade().await {
            Ok(upgraded) => upgraded,
            Err(came) => {
                let detail = format!("sent the usual request; came {came} in place of an upgrade");
                return (Failed, detail);
            }
        };
        let bytes = bytes(sent);
        // A server on which a frame behind a broken one is waiting may reset the connection, and
        // its Close frame is lost.
        let pause = self.patience.min(GRACE + 4 * time);
        let mut conversation =
            Conversation { socket, patience: self.patience, pause, seen: Seen::default() };
        conversation.hold(sent, &bytes, wanted).await;
        let Conversation { socket, mut seen, .. } = conversation;
        seen.patience = self.patience;
        if seen.ending.is_none() {
            socket.close(&Ending::Stopped).await;
        }
        let (outcome, came) = judge::frames(wanted, &seen);
        (outcome, format!("sent {}; came {came}", hex(&bytes)))
    }
}

impl Change {
    /// Whether the request is one that the server has to upgrade.
    fn is_to_be_served(self) -> bool {
        matches!(self, Self::None | Self::Spelling | Self::Pieces)
    }
}

fn described(change: Change) -> String {
    match change {
        Change::None => "the usual request".into(),
        Change::Method(method) => format!("a {method}"),
        Change::Http(version) => format!("a request in {version}"),
        Change::Without(name) => format!("a request without {name}"),
        Change::Value(name, value) => format!("{name}: {value}"),
        Change::Spelling => "upgrade: WebSocket and connection: keep-alive, upgrade".into(),
        Change::Pieces => "the usual request byte by byte".into(),
    }
}

fn no_http(bytes: &[u8]) -> String {
    let beginning = &bytes[..bytes.len().min(4 * SHOWN)];
    format!("no HTTP: {:?}", shortened(&String::from_utf8_lossy(beginning)))
}

fn hex(bytes: &[u8]) -> String {
    let shown: Vec<_> = bytes.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    let more = if bytes.len() > SHOWN { " ..." } else { "" };
    format!("{}{more}", shown.join(" "))
}

/// A connection on which frames were sent.
struct Conversation {
    socket: Socket,
    patience: Duration,
    /// How long a server that fails the connection is left alone.
    pause: Duration,
    seen: Seen,
}

impl Conversation {
    /// Sends frames, and waits for what is wanted of them.
    async fn hold(&mut self, sent: Sent, bytes: &[u8], wanted: &Wanted) {
        let patience = self.patience;
        match wanted {
            Wanted::Taken(text, between) => {
                let wrapping = self.wrapping().await;
                self.send(bytes).await;
                if let Some(payload) = between {
                    self.until_pong(payload, patience).await;
                }
                self.goes_on().await;
                if let Some((before, after)) = wrapping {
                    self.comes_back(&format!("{before}{text}{after}")).await;
                }
            }
            Wanted::Held => {
                self.send(bytes).await;
                self.goes_on().await;
            }
            Wanted::Pong(payload) | Wanted::Unmasked(payload) => {
                match sent {
                    Sent::Pieces(..) => self.send_pieces(bytes).await,
                    _ => self.send(bytes).await,
                }
                self.until_pong(payload, patience).await;
            }
            Wanted::Closed(_) => self.close(sent).await,
            Wanted::End => {
                self.close(sent).await;
                self.end().await;
            }
            Wanted::Failed(_) => self.fail(bytes).await,
            Wanted::FailedEnd => {
                self.fail(bytes).await;
                self.end().await;
            }
            Wanted::Limit => {
                self.send(bytes).await;
                self.until(patience, |_| false).await;
            }
        }
    }

    /// Begins the closing handshake.
    async fn close(&mut self, sent: Sent) {
        if let Sent::Masked([(_, payload)]) = sent {
            let _ = timeout(self.patience, self.socket.send(Opcode::Close, payload)).await;
        }
        self.until(self.patience, |_| false).await;
    }

    /// Sends what fails the connection, and then a Ping where it did not.
    async fn fail(&mut self, bytes: &[u8]) {
        self.send(bytes).await;
        self.until(self.pause, |_| false).await;
        self.goes_on().await;
    }

    async fn send(&mut self, bytes: &[u8]) {
        // A server that ends the stream meanwhile may have said why.
        let _ = timeout(self.patience, self.socket.send_bytes(bytes)).await;
    }

    async fn send_pieces(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.send(&[*byte]).await;
        }
    }

    /// What the service puts before and after a text that it returns, if it returns texts.
    async fn wrapping(&mut self) -> Option<(String, String)> {
        let mut probe = Vec::new();
        encode(&mut probe, Opcode::Text, PROBE.as_bytes(), Some(mask()));
        self.send(&probe).await;
        let mut wrapping = None;
        self.until(self.pause, |message| {
            if let Message::Text(text) = message {
                let parts = text.split_once(PROBE);
                wrapping = parts.map(|(before, after)| (before.to_owned(), after.to_owned()));
            }
            wrapping.is_some()
        })
        .await;
        wrapping
    }

    /// Whether the server answers a further Ping.
    async fn goes_on(&mut self) {
        if self.seen.ending.is_none() {
            let mut ping = Vec::new();
            encode(&mut ping, Opcode::Ping, NEXT, Some(mask()));
            self.send(&ping).await;
            self.seen.goes_on = self.until_pong(NEXT, self.patience).await;
        }
    }

    /// Whether the text came, or comes yet.
    async fn comes_back(&mut self, wanted: &str) {
        let is_it = |text: &str| text == wanted;
        if !self.seen.texts.iter().any(|text| is_it(text)) && self.seen.goes_on {
            self.until(self.patience, |message| matches!(message, Message::Text(_))).await;
        }
        let last = self.seen.texts.last().cloned();
        let came_back = self.seen.texts.iter().any(|text| is_it(text));
        self.seen.came_back = Some(came_back);
        self.seen.cut = last.filter(|_| !came_back);
    }

    async fn until_pong(&mut self, payload: &[u8], patience: Duration) -> bool {
        self.until(patience, |message| matches!(message, Message::Pong(pong) if **pong == *payload))
            .await
    }

    /// Receives until a message is the wanted one; `false` if the connection ended or the time is
    /// over before.
    async fn until(
        &mut self,
        patience: Duration,
        mut is_wanted: impl FnMut(&Message<'static>) -> bool,
    ) -> bool {
        if self.seen.ending.is_some() {
            return false;
        }
        let (socket, seen) = (&mut self.socket, &mut self.seen);
        let found = timeout(patience, async {
            loop {
                match socket.receive().await {
                    Ok(message) if is_wanted(&message) => {
                        seen.keep(message);
                        return true;
                    }
                    Ok(message) => seen.keep(message),
                    Err(ending) => {
                        seen.ending = Some(ending);
                        return false;
                    }
                }
            }
        });
        found.await.unwrap_or(false)
    }

    /// How TCP ends after the Close frames.
    async fn end(&mut self) {
        self.seen.end = match &self.seen.ending {
            Some(Ending::Closed(_)) => match timeout(self.patience, self.socket.end()).await {
                Ok(Ok(())) => Some(End::Fin),
                Ok(Err(error)) => Some(End::Broken(error)),
                Err(_) => Some(End::Open),
            },
            // The end is there already.
            Some(Ending::Lost(None)) => Some(End::Fin),
            Some(_) => None,
            None => Some(End::Open),
        };
    }
}
