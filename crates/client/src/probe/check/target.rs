//! Carries checks out, each over a connection of its own.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use proto::limits::{CONNECT_TIMEOUT, MAX_REPLY};
use tokio::time::{Instant, sleep, timeout};

use super::Outcome::{Failed, Skipped, Warned};
use super::conversation::Conversation;
use super::evaluate::{self, Evaluation};
use super::list::{Case, Check, Expected, Sent};
use super::request::{Answer, Change, Head, Request};
use super::room::Room;
use crate::format::seconds;
use crate::net::ConnectError;
use crate::net::ending::Ending;
use crate::net::fault::NO_ROOM;
use crate::net::route::Route;
use crate::net::socket::Socket;
use crate::net::stream::Stream;
use crate::net::upgrade::shortened;

/// Bytes that are shown of an answer that is not HTTP.
const SHOWN: usize = 64;

/// The beginning of the detail of a check for which there was no connection.
pub(super) const NO_CONNECTION: &str = "not checked: no connection: ";

/// The beginning of the detail of a check whose usual request was not answered.
pub(super) const NO_ANSWER: &str = "not checked: the usual request had no answer within ";

/// The pause before another try at a server that is at a limit.
const FULL: Duration = Duration::from_millis(200);

/// A server to check.
pub(super) struct Target<'a> {
    route: &'a Route,
    /// Longest wait for an answer.
    patience: Duration,
    room: Room,
    /// Whether a usual request was not answered in time.
    is_silent: Cell<bool>,
}

/// Why a request has no answer that can be judged.
enum NoAnswer {
    /// No rule can be judged.
    NotChecked(NotChecked),
    /// What came in place of an answer.
    Fault(String),
}

/// Why a rule was not checked.
#[derive(Debug)]
enum NotChecked {
    /// The server has no room: the status that it answers with.
    NoRoom(u16),
    /// There is no connection: why, as text.
    NoConnection(String),
    /// A request was not answered within this time.
    Silent(Duration),
}

impl<'a> Target<'a> {
    /// A server that `at_once` checks may use at the same time.
    pub(super) fn new(route: &'a Route, patience: Duration, at_once: usize) -> Self {
        Self { route, patience, room: Room::new(at_once), is_silent: Cell::new(false) }
    }

    /// Carries a check out, once more when others are done if the server has no room.
    pub(super) async fn run(&self, check: &Check) -> Evaluation {
        loop {
            let place = self.room.place().await;
            match self.run_once(check).await {
                Ok(evaluation) => return evaluation,
                Err(NotChecked::NoRoom(_)) if self.room.take_away(place) => {}
                Err(cause) => return (Skipped, cause.to_string()),
            }
        }
    }

    /// Carries a check out.
    ///
    /// # Errors
    /// Why the rule was not checked.
    async fn run_once(&self, check: &Check) -> Result<Evaluation, NotChecked> {
        match &check.case {
            Case::Answer(part) => {
                self.request(Change::None, |request, head| evaluate::part(*part, request, head))
                    .await
            }
            Case::Request(change, due) => {
                self.request(*change, |_, head| evaluate::answer(*due, head)).await
            }
            Case::Frames(sent, expected) => self.frames(*sent, expected).await,
        }
    }

    /// Whether the server answers the usual request with 101.
    pub(super) async fn is_there(&self) -> bool {
        matches!(self.exchange(Change::None).await, Ok((_, _, Answer::Head(head, _))) if head.status == 101)
    }

    /// Sends a request; returns the stream, the request and the answer. Tries again while the server
    /// is at a limit (429, 503).
    async fn exchange(&self, change: Change) -> Result<(Stream, Request, Answer), NoAnswer> {
        let begun = Instant::now();
        loop {
            let exchanged = self.exchange_once(change).await?;
            let status = match &exchanged.2 {
                Answer::Head(head, _) => head.status,
                Answer::Other(_) | Answer::End(_) => return Ok(exchanged),
            };
            if status == 101 {
                self.room.upgraded();
            }
            if !NO_ROOM.iter().any(|no_room| *no_room == status) {
                return Ok(exchanged);
            }
            if change == Change::None {
                self.room.refused();
            }
            let is_over = begun.elapsed() >= self.patience;
            match self.room.is_scarce() {
                false if is_over => return Ok(exchanged),
                true if is_over || self.room.is_hopeless() => {
                    return Err(NoAnswer::NotChecked(NotChecked::NoRoom(status)));
                }
                _ => {}
            }
            drop(exchanged);
            sleep(FULL).await;
        }
    }

    async fn exchange_once(&self, change: Change) -> Result<(Stream, Request, Answer), NoAnswer> {
        let cannot =
            |error: ConnectError| NoAnswer::NotChecked(NotChecked::NoConnection(error.to_string()));
        let request = Request::new(&self.route.request().map_err(cannot)?, change);
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        let mut stream = self.route.stream(deadline).await.map_err(cannot)?;
        let answer = timeout(self.patience, request.exchange(&mut stream)).await;
        let answer = answer.map_err(|_| {
            self.is_silent.set(self.is_silent.get() || change == Change::None);
            NoAnswer::NotChecked(NotChecked::Silent(self.patience))
        })?;
        Ok((stream, request, answer))
    }

    async fn request(
        &self,
        change: Change,
        evaluate: impl FnOnce(&Request, &Head) -> Evaluation,
    ) -> Result<Evaluation, NotChecked> {
        let (outcome, came) = match self.exchange(change).await {
            Ok((stream, request, Answer::Head(head, early))) => {
                if head.status == 101 {
                    Socket::new(stream, early, MAX_REPLY).close(&Ending::Stopped).await;
                }
                evaluate(&request, &head)
            }
            Ok((_, _, Answer::End(error))) => {
                // Section 10.7: a server may drop the connection.
                let outcome = if change.is_valid() { Failed } else { Warned };
                let how = error.map_or_else(|| "the end of TCP".into(), |error| error.to_string());
                (outcome, format!("{how} without an answer"))
            }
            Ok((_, _, Answer::Other(bytes))) => (Failed, no_http(&bytes)),
            Err(NoAnswer::NotChecked(NotChecked::Silent(time))) if !self.is_silent().await => {
                (Failed, format!("nothing within {}", seconds(time)))
            }
            Err(NoAnswer::NotChecked(cause)) => return Err(cause),
            Err(NoAnswer::Fault(cause)) => (Failed, cause),
        };
        Ok((outcome, format!("sent {change}; came {came}")))
    }

    /// Whether the server leaves a usual request unanswered. If none was so far, sends one.
    async fn is_silent(&self) -> bool {
        if !self.is_silent.get() {
            self.is_there().await;
        }
        self.is_silent.get()
    }

    /// The opening handshake; returns how long it took as well.
    async fn upgrade(&self) -> Result<(Socket, Duration), NoAnswer> {
        let begun = Instant::now();
        match self.exchange(Change::None).await? {
            (stream, _, Answer::Head(head, early)) if head.status == 101 => {
                Ok((Socket::new(stream, early, MAX_REPLY), begun.elapsed()))
            }
            (_, _, Answer::Head(head, _)) => Err(NoAnswer::Fault(shortened(&head.line))),
            (_, _, Answer::Other(bytes)) => Err(NoAnswer::Fault(no_http(&bytes))),
            (_, _, Answer::End(_)) => Err(NoAnswer::Fault("the end of TCP".into())),
        }
    }

    async fn frames(&self, sent: Sent, expected: &Expected) -> Result<Evaluation, NotChecked> {
        let (socket, time) = match self.upgrade().await {
            Ok(upgraded) => upgraded,
            Err(NoAnswer::NotChecked(cause)) => return Err(cause),
            Err(NoAnswer::Fault(came)) => {
                let detail = format!("sent the usual request; came {came} in place of an upgrade");
                return Ok((Failed, detail));
            }
        };
        let response =
            Conversation::new(socket, time, self.patience).exchange(sent, expected).await;
        let (outcome, came) = evaluate::frames(expected, &response);
        Ok((outcome, format!("sent {sent}; came {came}")))
    }
}

impl fmt::Display for NotChecked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom(status) => {
                write!(f, "not checked: the server has no room (HTTP {status})")
            }
            Self::NoConnection(cause) => write!(f, "{NO_CONNECTION}{cause}"),
            Self::Silent(patience) => write!(f, "{NO_ANSWER}{}", seconds(*patience)),
        }
    }
}

fn no_http(bytes: &[u8]) -> String {
    let beginning = &bytes[..bytes.len().min(SHOWN)];
    format!("no HTTP: {:?}", shortened(&String::from_utf8_lossy(beginning)))
}
