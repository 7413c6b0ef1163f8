//! What follows the opening handshake: frames, and what comes of them.

use std::time::Duration;

use proto::frame::{Message, Opcode, encode};
use tokio::time::{sleep, timeout};

use super::judge::{End, Seen};
use super::list::{Sent, Wanted};
use super::request::BETWEEN_PIECES;
use crate::net::ending::Ending;
use crate::net::socket::{Socket, mask};

/// What a service that returns texts is found out with.
const PROBE: &str = "check-of-rfc-6455";

/// The Ping that shows whether the server goes on.
const NEXT: &[u8] = b"next";

/// How long a text may take to come back, beside a round trip.
const GRACE: Duration = Duration::from_millis(250);

/// A connection on which frames were sent.
#[derive(Debug)]
pub(super) struct Conversation {
    socket: Socket,
    patience: Duration,
    /// How long a server that fails the connection is left alone: one that has a further frame
    /// waiting when it ends TCP resets the connection, and its Close frame may be lost.
    pause: Duration,
    seen: Seen,
}

impl Conversation {
    /// A conversation over a connection whose opening handshake took `time`.
    pub(super) fn new(socket: Socket, time: Duration, patience: Duration) -> Self {
        let pause = patience.min(GRACE + 4 * time);
        Self { socket, patience, pause, seen: Seen { patience, ..Seen::default() } }
    }

    /// Sends frames, waits for what is wanted of them, and closes the connection.
    pub(super) async fn hold(mut self, sent: Sent, wanted: &Wanted) -> Seen {
        self.say(sent, wanted).await;
        // A server that is silent is not waited for once more.
        if self.seen.ending.is_none() && !self.seen.pongs.is_empty() {
            self.socket.close(&Ending::Stopped).await;
        }
        self.seen
    }

    async fn say(&mut self, sent: Sent, wanted: &Wanted) {
        let (patience, bytes) = (self.patience, &sent.to_bytes());
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
            sleep(BETWEEN_PIECES).await;
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
        let is_it =
            |message: &Message<'_>| matches!(message, Message::Text(text) if text == wanted);
        let mut came_back = self.seen.texts.iter().any(|text| text == wanted);
        if !came_back && self.seen.goes_on {
            came_back = self.until(self.patience, is_it).await;
        }
        self.seen.came_back = Some(came_back);
        self.seen.cut = self.seen.texts.last().cloned().filter(|_| !came_back);
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
