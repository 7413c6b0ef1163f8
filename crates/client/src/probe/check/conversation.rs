//! The exchange of frames after the opening handshake.

use std::time::Duration;

use proto::frame::{Message, Opcode, encode};
use tokio::time::{sleep, timeout};

use super::evaluate::{Response, TcpEnd};
use super::list::{Expected, Sent};
use super::request::BETWEEN_PIECES;
use crate::net::ending::Ending;
use crate::net::socket::{Socket, mask};

/// A text that shows whether the service echoes texts.
const PROBE: &str = "check-of-rfc-6455";

/// The payload of the Ping that shows whether the connection stays open.
const NEXT: &[u8] = b"next";

/// Time that an echo may take, in addition to the round trips.
const GRACE: Duration = Duration::from_millis(250);

/// A connection over which frames are exchanged.
#[derive(Debug)]
pub(super) struct Conversation {
    socket: Socket,
    patience: Duration,
    /// Wait before a further Ping to a server that has to fail the connection. If data of the client
    /// is unread when the server closes TCP, the kernel resets the connection, and the Close frame
    /// may be lost.
    pause: Duration,
    response: Response,
}

impl Conversation {
    /// A conversation over a connection whose opening handshake took `time`.
    pub(super) fn new(socket: Socket, time: Duration, patience: Duration) -> Self {
        let pause = patience.min(GRACE + 4 * time);
        Self { socket, patience, pause, response: Response { patience, ..Response::default() } }
    }

    /// Sends frames, waits for the expected reaction, and closes the connection.
    pub(super) async fn exchange(mut self, sent: Sent, expected: &Expected) -> Response {
        self.send_and_wait(sent, expected).await;
        // A silent server would not answer the closing handshake either.
        if self.response.ending.is_none() && !self.response.pongs.is_empty() {
            self.socket.close(&Ending::Stopped).await;
        }
        self.response
    }

    async fn send_and_wait(&mut self, sent: Sent, expected: &Expected) {
        let (patience, bytes) = (self.patience, &sent.to_bytes());
        match expected {
            Expected::Accepted(text, between) => {
                let affixes = self.echo_affixes().await;
                self.send(bytes).await;
                if let Some(payload) = between {
                    self.until_pong(payload, patience).await;
                }
                self.check_still_answers().await;
                if let Some((before, after)) = affixes {
                    self.check_echoed(&format!("{before}{text}{after}")).await;
                }
            }
            Expected::Held => {
                self.send(bytes).await;
                self.check_still_answers().await;
            }
            Expected::Pong(payload) | Expected::Unmasked(payload) => {
                match sent {
                    Sent::Pieces(..) => self.send_pieces(bytes).await,
                    _ => self.send(bytes).await,
                }
                self.until_pong(payload, patience).await;
            }
            Expected::Closed(_) => self.close(sent).await,
            Expected::End => {
                self.close(sent).await;
                self.end().await;
            }
            Expected::Failed(_) => self.fail(bytes).await,
            Expected::FailedEnd => {
                self.fail(bytes).await;
                self.end().await;
            }
            Expected::Limit => {
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

    /// Sends frames that have to fail the connection, and a Ping if they did not.
    async fn fail(&mut self, bytes: &[u8]) {
        self.send(bytes).await;
        self.until(self.pause, |_| false).await;
        self.check_still_answers().await;
    }

    async fn send(&mut self, bytes: &[u8]) {
        // After a failed write, the answer of the server may still be readable.
        let _ = timeout(self.patience, self.socket.send_bytes(bytes)).await;
    }

    async fn send_pieces(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.send(&[*byte]).await;
            sleep(BETWEEN_PIECES).await;
        }
    }

    /// Prefix and suffix that the service adds to echoed texts; `None` if it does not echo.
    async fn echo_affixes(&mut self) -> Option<(String, String)> {
        let mut probe = Vec::new();
        encode(&mut probe, Opcode::Text, PROBE.as_bytes(), Some(mask()));
        self.send(&probe).await;
        let mut affixes = None;
        self.until(self.pause, |message| {
            if let Message::Text(text) = message {
                let parts = text.split_once(PROBE);
                affixes = parts.map(|(before, after)| (before.to_owned(), after.to_owned()));
            }
            affixes.is_some()
        })
        .await;
        affixes
    }

    /// Records whether the server answers a further Ping.
    async fn check_still_answers(&mut self) {
        if self.response.ending.is_none() {
            let mut ping = Vec::new();
            encode(&mut ping, Opcode::Ping, NEXT, Some(mask()));
            self.send(&ping).await;
            self.response.goes_on = self.until_pong(NEXT, self.patience).await;
        }
    }

    /// Records whether the expected text was echoed, or is echoed within the time.
    async fn check_echoed(&mut self, expected: &str) {
        let is_it =
            |message: &Message<'_>| matches!(message, Message::Text(text) if text == expected);
        let mut came_back = self.response.texts.iter().any(|text| text == expected);
        if !came_back && self.response.goes_on {
            came_back = self.until(self.patience, is_it).await;
        }
        self.response.came_back = Some(came_back);
        self.response.other_text = self.response.texts.last().cloned().filter(|_| !came_back);
    }

    async fn until_pong(&mut self, payload: &[u8], patience: Duration) -> bool {
        self.until(patience, |message| matches!(message, Message::Pong(pong) if **pong == *payload))
            .await
    }

    /// Receives until a message is the expected one; `false` if the connection ends or the time is
    /// over first.
    async fn until(
        &mut self,
        patience: Duration,
        mut is_expected: impl FnMut(&Message<'static>) -> bool,
    ) -> bool {
        if self.response.ending.is_some() {
            return false;
        }
        let Self { socket, response, .. } = self;
        let found = timeout(patience, async {
            loop {
                match socket.receive().await {
                    Ok(message) if is_expected(&message) => {
                        response.keep(message);
                        return true;
                    }
                    Ok(message) => response.keep(message),
                    Err(ending) => {
                        response.ending = Some(ending);
                        return false;
                    }
                }
            }
        });
        found.await.unwrap_or(false)
    }

    /// Records how TCP ends after the Close frames.
    async fn end(&mut self) {
        self.response.end = match &self.response.ending {
            Some(Ending::Closed(_)) => match timeout(self.patience, self.socket.end()).await {
                Ok(Ok(())) => Some(TcpEnd::Fin),
                Ok(Err(error)) => Some(TcpEnd::Error(error)),
                Err(_) => Some(TcpEnd::Open),
            },
            // The server ended TCP without a Close frame.
            Some(Ending::Lost(None)) => Some(TcpEnd::Fin),
            Some(_) => None,
            None => Some(TcpEnd::Open),
        };
    }
}
