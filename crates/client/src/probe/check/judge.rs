//! What an answer means: pure functions, the rules of RFC 6455 for servers.

use std::time::Duration;

use proto::escape;
use proto::frame::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::Outcome::{self, Failed, Passed, Warned};
use super::list::{Due, Failure, Part, Wanted};
use super::request::{Head, Request, shortened};
use crate::net::ending::Ending;
use crate::words::seconds;

/// How many Pong frames and texts are kept, of a server that sends many by itself.
const KEPT: usize = 64;

/// Longest text that is kept, in bytes.
const KEPT_TEXT: usize = 4096;

/// An outcome, and what came.
pub(super) type Judged = (Outcome, String);

/// What came after frames were sent.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Payloads of Pong frames.
    pub(super) pongs: Vec<Vec<u8>>,
    /// Short texts.
    pub(super) texts: Vec<String>,
    /// The text that came in place of the wanted one.
    pub(super) cut: Option<String>,
    /// Whether the Pong came to a Ping behind the frames: the server went on.
    pub(super) goes_on: bool,
    /// Whether the text came back, if the service returns texts.
    pub(super) came_back: Option<bool>,
    /// How the connection ended; `None` if it did not.
    pub(super) ending: Option<Ending>,
    /// How TCP ended after the Close frames, if that was waited for.
    pub(super) end: Option<End>,
    /// How long the answer was waited for.
    pub(super) patience: Duration,
}

/// How TCP ended.
#[derive(Debug)]
pub(super) enum End {
    Fin,
    Broken(std::io::Error),
    /// Not within the time.
    Open,
}

/// Judges a part of the answer to the usual request.
pub(super) fn part(part: Part, request: &Request, head: &Head) -> Judged {
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
            let wanted = derive_accept_key(request.value("Sec-WebSocket-Key").unwrap_or_default());
            (head.values(name).eq([wanted.as_str()]), head.shown(name))
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

/// Judges the answer to a request with a change.
pub(super) fn answer(due: Due, head: &Head) -> Judged {
    let is_refused = matches!(head.status, 400..=499 | 501 | 505);
    let mut came = shortened(&head.line);
    let outcome = match (due, head.status) {
        (Due::Upgrade, 101) => Passed,
        (Due::Upgrade, _) | (_, 101) => Failed,
        (Due::Versions, _) => {
            let name = "Sec-WebSocket-Version";
            came = format!("{came} with {}", head.shown(name));
            match (head.elements(name).any(|version| version == "13"), is_refused) {
                (false, _) => Failed,
                (true, true) => Passed,
                (true, false) => Warned,
            }
        }
        _ if is_refused => Passed,
        (Due::NoUpgrade, 200..=399) => Passed,
        (Due::Refusal, 200..=299) => Failed,
        _ => Warned,
    };
    (outcome, came)
}

/// Judges what came after frames were sent.
pub(super) fn frames(wanted: &Wanted, seen: &Seen) -> Judged {
    let came = seen.told();
    let outcome = match wanted {
        Wanted::Pong(payload) if seen.pongs.iter().any(|pong| pong == payload) => Passed,
        Wanted::Pong(_) => return (Failed, came),
        Wanted::Unmasked(payload) => match &seen.ending {
            None if seen.pongs.iter().any(|pong| pong == payload) => Passed,
            _ => Failed,
        },
        Wanted::Held | Wanted::Taken(_, None) => held(seen),
        Wanted::Taken(_, Some(payload)) => {
            let is_answered = seen.pongs.iter().any(|pong| pong == payload);
            if is_answered { held(seen) } else { refusal_of_service(seen).unwrap_or(Failed) }
        }
        Wanted::Closed(code) => closed(*code, seen),
        Wanted::End | Wanted::FailedEnd => match (&seen.end, wanted) {
            // The server need not wait for the Close frame that answers its own, and then that
            // resets the connection.
            (Some(End::Fin), _) | (Some(End::Broken(_)), Wanted::FailedEnd) => Passed,
            (Some(End::Broken(_)), _) => Warned,
            (Some(End::Open) | None, _) => Failed,
        },
        Wanted::Failed(failure) => fails(failure, seen),
        Wanted::Limit => match &seen.ending {
            Some(Ending::Closed(Some(close))) if close.code.0 == 1009 => Passed,
            Some(Ending::Refused(..)) => Failed,
            _ => Warned,
        },
    };
    (outcome, came)
}

/// Whether the connection goes on, and a text that came back is whole.
fn held(seen: &Seen) -> Outcome {
    match (seen.goes_on, seen.came_back) {
        (true, Some(true) | None) => Passed,
        (true, Some(false)) => Failed,
        (false, _) => refusal_of_service(seen).unwrap_or(Failed),
    }
}

/// A service may close on a text that means nothing to it, which says nothing about the protocol.
fn refusal_of_service(seen: &Seen) -> Option<Outcome> {
    match &seen.ending {
        Some(Ending::Closed(Some(close))) if ![1002, 1007].contains(&close.code.0) => Some(Warned),
        _ => None,
    }
}

/// Section 5.5.1: a Close frame has to be answered, and typically with its code.
fn closed(code: Option<u16>, seen: &Seen) -> Outcome {
    match &seen.ending {
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

fn fails(failure: &Failure, seen: &Seen) -> Outcome {
    match &seen.ending {
        // A frame that answers has to keep the rules itself, the code of a Close frame included.
        None | Some(Ending::Refused(..)) => failure.taken,
        Some(Ending::Closed(Some(close))) if failure.codes.contains(&close.code.0) => Passed,
        Some(Ending::Closed(_)) => Warned,
        Some(_) => failure.bare,
    }
}

impl Seen {
    /// Keeps a message, if it may matter.
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

    /// What came, in words.
    fn told(&self) -> String {
        let after = match &self.end {
            None => "",
            Some(End::Fin) => ", then the end of TCP",
            Some(End::Broken(error)) => return format!("{}, then {error}", self.first()),
            Some(End::Open) => {
                let patience = seconds(self.patience);
                return format!("{}, and TCP was still open after {patience}", self.first());
            }
        };
        format!("{}{after}", self.first())
    }

    fn first(&self) -> String {
        match &self.ending {
            Some(ending) => told(ending),
            None => match (&self.cut, self.came_back, self.pongs.last()) {
                (Some(cut), Some(false), _) => format!("the text {:?}", shortened(cut)),
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

/// An ending, in words.
pub(super) fn told(ending: &Ending) -> String {
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
