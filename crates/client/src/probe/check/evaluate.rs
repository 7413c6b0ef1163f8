//! Evaluates what a server sent against the rules of RFC 6455, in pure functions.

use std::time::Duration;

use proto::escape;
use proto::frame::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::Outcome::{self, Failed, Passed, Warned};
use super::list::{Expected, ExpectedAnswer, Failure, Part};
use super::request::{Head, Request};
use crate::format::seconds;
use crate::net::ending::Ending;
use crate::net::upgrade::shortened;

/// Most Pong frames, and most texts, that are kept.
const KEPT: usize = 64;

/// Longest text that is kept, in bytes.
const KEPT_TEXT: usize = 4096;

/// The outcome of a check, and a text with the frames that were received, or sent and received.
pub(super) type Evaluation = (Outcome, String);

/// The reaction of the server to the frames of a check.
#[derive(Debug, Default)]
pub(super) struct Response {
    /// Payloads of Pong frames.
    pub(super) pongs: Vec<Vec<u8>>,
    /// Texts, long ones excluded.
    pub(super) texts: Vec<String>,
    /// The text received instead of the expected one.
    pub(super) other_text: Option<String>,
    /// Whether the server answered a Ping after the frames, so the connection stayed open.
    pub(super) goes_on: bool,
    /// Whether the text was echoed; `None` unless the server echoes texts.
    pub(super) came_back: Option<bool>,
    /// How the connection ended; `None` if it did not.
    pub(super) ending: Option<Ending>,
    /// How TCP ended after the Close frames, if a check waits for that.
    pub(super) end: Option<TcpEnd>,
    /// Longest wait for an answer.
    pub(super) patience: Duration,
}

/// How TCP ended.
#[derive(Debug)]
pub(super) enum TcpEnd {
    Fin,
    Error(std::io::Error),
    /// TCP did not end within the time.
    Open,
}

/// Evaluates a part of the answer to the usual request.
pub(super) fn part(part: Part, request: &Request, head: &Head) -> Evaluation {
    let has = |name: &str, token: &str| {
        head.elements(name).any(|element| element.eq_ignore_ascii_case(token))
    };
    let (is_right, came) = match part {
        Part::Status => {
            let is_right = head.status == 101 && head.line.starts_with("HTTP/1.1 ");
            (is_right, shortened(&head.line))
        }
        Part::Upgrade => {
            let name = "Upgrade";
            let is_one = head.elements(name).count() == 1;
            (is_one && has(name, "websocket"), head.shown(name))
        }
        Part::Connection => (has("Connection", "upgrade"), head.shown("Connection")),
        Part::Accept => {
            let name = "Sec-WebSocket-Accept";
            let expected =
                derive_accept_key(request.value("Sec-WebSocket-Key").unwrap_or_default());
            (head.values(name).eq([expected.as_str()]), head.shown(name))
        }
        Part::Subprotocol => {
            let name = "Sec-WebSocket-Protocol";
            let offered = request.value(name).map(String::from_utf8_lossy).unwrap_or_default();
            let mut chosen = head.values(name);
            let is_right = match (chosen.next(), chosen.next()) {
                (None, _) => true,
                (Some(name), None) => offered.split(',').any(|offered| offered.trim() == name),
                (Some(_), Some(_)) => false,
            };
            (is_right, head.shown(name))
        }
        Part::Extensions => {
            let name = "Sec-WebSocket-Extensions";
            (head.elements(name).next().is_none(), head.shown(name))
        }
    };
    (if is_right { Passed } else { Failed }, came)
}

/// Evaluates the answer to a changed request.
pub(super) fn answer(expected: ExpectedAnswer, head: &Head) -> Evaluation {
    let is_refused = matches!(head.status, 400..=499 | 501 | 505);
    let mut came = shortened(&head.line);
    let outcome = match (expected, head.status) {
        (ExpectedAnswer::Upgrade, 101) => Passed,
        (ExpectedAnswer::Upgrade, _) | (_, 101) => Failed,
        (ExpectedAnswer::Versions, _) => {
            let name = "Sec-WebSocket-Version";
            came = format!("{came} with {}", head.shown(name));
            match (head.elements(name).any(|version| version == "13"), is_refused) {
                (false, _) => Failed,
                (true, true) => Passed,
                (true, false) => Warned,
            }
        }
        _ if is_refused => Passed,
        (ExpectedAnswer::NoUpgrade, 200..=399) => Passed,
        (ExpectedAnswer::Refusal, 200..=299) => Failed,
        _ => Warned,
    };
    (outcome, came)
}

/// Evaluates the reaction to frames.
pub(super) fn frames(expected: &Expected, response: &Response) -> Evaluation {
    let has_pong = |payload: &[u8]| response.pongs.iter().any(|pong| pong == payload);
    let outcome = match expected {
        Expected::Pong(payload) if has_pong(payload) => Passed,
        Expected::Unmasked(payload) if has_pong(payload) && response.ending.is_none() => Passed,
        Expected::Pong(_) | Expected::Unmasked(_) => Failed,
        Expected::Accepted(_, Some(payload)) if !has_pong(payload) => {
            refusal_of_service(response).unwrap_or(Failed)
        }
        Expected::Held | Expected::Accepted(..) => held(response),
        Expected::Closed(code) => closed(*code, response),
        Expected::End | Expected::FailedEnd => match (&response.end, expected) {
            // A server that fails the connection need not wait for the client's Close frame, which
            // then resets the connection.
            (Some(TcpEnd::Fin), _) | (Some(TcpEnd::Error(_)), Expected::FailedEnd) => Passed,
            (Some(TcpEnd::Error(_)), _) => Warned,
            (Some(TcpEnd::Open) | None, _) => Failed,
        },
        Expected::Failed(failure) => fails(failure, response),
        Expected::Limit => match &response.ending {
            Some(Ending::Closed(Some(close))) if close.code.0 == 1009 => Passed,
            Some(Ending::Refused(..)) => Failed,
            _ => Warned,
        },
    };
    (outcome, response.told())
}

/// The connection has to stay open, and an echoed text has to be complete.
fn held(response: &Response) -> Outcome {
    match (response.goes_on, response.came_back) {
        (true, Some(true) | None) => Passed,
        (true, Some(false)) => Failed,
        (false, _) => refusal_of_service(response).unwrap_or(Failed),
    }
}

/// A service may close the connection over a text that it does not know, which breaks no rule.
fn refusal_of_service(response: &Response) -> Option<Outcome> {
    match &response.ending {
        Some(Ending::Closed(Some(close))) if ![1002, 1007].contains(&close.code.0) => Some(Warned),
        _ => None,
    }
}

/// Section 5.5.1: a Close frame has to be answered, typically with the same code.
fn closed(code: Option<u16>, response: &Response) -> Outcome {
    match &response.ending {
        Some(Ending::Closed(answer)) => {
            let answer = answer.as_ref().map(|close| close.code.0);
            let is_right = match code {
                Some(code) => answer == Some(code),
                None => answer.is_none_or(|code| ![1002, 1007].contains(&code)),
            };
            if is_right { Passed } else { Warned }
        }
        _ => Failed,
    }
}

fn fails(failure: &Failure, response: &Response) -> Outcome {
    match &response.ending {
        // Refused: the answer itself breaks the protocol, such as a Close frame with a reserved
        // code.
        None | Some(Ending::Refused(..)) => failure.accepted,
        Some(Ending::Closed(Some(close))) if failure.codes.contains(&close.code.0) => Passed,
        Some(Ending::Closed(_)) => Warned,
        Some(_) => failure.no_close,
    }
}

impl Response {
    /// Keeps a Pong or a text, within bounds.
    pub(super) fn keep(&mut self, message: Message<'static>) {
        match message {
            Message::Pong(payload) if self.pongs.len() < KEPT => {
                self.pongs.push(payload.into_owned());
            }
            Message::Text(text) if self.texts.len() < KEPT && text.len() < KEPT_TEXT => {
                self.texts.push(text.into_owned());
            }
            _ => {}
        }
    }

    /// The received frames, as text.
    fn told(&self) -> String {
        let first = self.first();
        match &self.end {
            None => first,
            Some(TcpEnd::Fin) => format!("{first}, then the end of TCP"),
            Some(TcpEnd::Error(error)) => format!("{first}, then {error}"),
            Some(TcpEnd::Open) => {
                format!("{first}, and TCP was still open after {}", seconds(self.patience))
            }
        }
    }

    fn first(&self) -> String {
        match &self.ending {
            Some(ending) => told(ending),
            None => match (&self.other_text, self.came_back, self.pongs.last()) {
                (Some(text), Some(false), _) => format!("the text {:?}", shortened(text)),
                (None, Some(false), _) => format!("no such text within {}", seconds(self.patience)),
                (_, Some(true), _) if self.goes_on => "the whole text".to_owned(),
                _ if self.goes_on => "a Pong to the next Ping: the connection goes on".to_owned(),
                (_, _, Some(pong)) => {
                    let payload = shortened(&String::from_utf8_lossy(pong));
                    format!("a Pong of {} bytes, {payload:?}", pong.len())
                }
                (_, _, None) => format!("nothing within {}", seconds(self.patience)),
            },
        }
    }
}

/// An ending, as text.
fn told(ending: &Ending) -> String {
    match ending {
        Ending::Closed(Some(close)) if close.reason.is_empty() => format!("Close {}", close.code),
        Ending::Closed(Some(close)) => {
            format!("Close {} ({})", close.code, shortened(&close.reason))
        }
        Ending::Closed(None) => "a Close frame without a code".into(),
        Ending::Lost(None) => "the end of TCP without a Close frame".into(),
        Ending::Lost(Some(error)) => format!("no Close frame: {error}"),
        Ending::Refused(_, fault) => {
            format!("a frame that breaks the protocol itself: {}", escape::plain(fault))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
