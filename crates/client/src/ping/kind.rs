//! The kinds of pings (text messages, requests of `/probe`, Ping frames), and the choice of one.

use proto::PONG;
use proto::ping::ERROR_PREFIX;
use proto::probe::Pong;

/// A kind of ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text messages of this project, answered with `Pong!`.
    Message,
    /// Requests of `/probe`, answered with the clock of the server ([`proto::probe`]).
    Probe,
    /// Ping frames, which every server answers (RFC 6455, section 5.5.3).
    Frame,
}

/// The chosen kind of pings, and whether the choice can still change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The kind of pings to send.
    pub kind: Kind,
    /// Whether the choice is final: the server has answered, or the user has chosen.
    pub is_settled: bool,
}

/// Why text messages cannot measure a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The server echoes messages.
    Echo,
    /// The server answers with an unrelated text.
    OtherText,
    /// The server does not answer messages, only Ping frames.
    Nothing,
}

/// The meaning of a text from the server while a message waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Pong,
    /// The answer of `/probe`.
    TimedPong(Pong),
    Error,
    Echo,
    Other,
}

impl Choice {
    /// Ping frames if the user chose them; otherwise messages, or the requests of `/probe` at that
    /// path, until these prove unfit.
    #[must_use]
    pub fn begin(with_frames: bool, is_probe: bool) -> Self {
        let kind = match (with_frames, is_probe) {
            (true, _) => Kind::Frame,
            (false, true) => Kind::Probe,
            (false, false) => Kind::Message,
        };
        Self { kind, is_settled: with_frames }
    }
}

impl Meaning {
    /// The meaning of a text, after the message `sent`. Echo servers may add text around the
    /// message.
    pub(super) fn of(text: &str, sent: &str) -> Self {
        match text {
            PONG => Self::Pong,
            text if text.starts_with(ERROR_PREFIX) => Self::Error,
            text if text.contains(sent) => Self::Echo,
            _ => Self::Other,
        }
    }

    /// The meaning of a text, after the request `sent` with this number.
    pub(super) fn of_probe(text: &str, sent: &str, number: u64) -> Self {
        match serde_json::from_str::<Pong>(text) {
            Ok(pong) if pong.pong == number => Self::TimedPong(pong),
            _ if text.starts_with(ERROR_PREFIX) => Self::Error,
            _ if text.contains(sent) => Self::Echo,
            _ => Self::Other,
        }
    }
}

impl Unfit {
    /// What the server does with pings of this kind, as the end of a sentence.
    pub(super) fn explain(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (Self::Echo, _) => "returns what it gets, which is no Pong",
            (Self::OtherText, Kind::Probe) => {
                r#"answers {"ping": N} with something else than the {"pong": N, "arrived": TIME, "left": TIME} of /probe"#
            }
            (Self::OtherText, _) => "answers \"Ping!\" with something else than \"Pong!\"",
            (Self::Nothing, Kind::Probe) => {
                r#"answers Ping frames, but nothing to the message {"ping": N} of /probe"#
            }
            (Self::Nothing, _) => "answers Ping frames, but nothing to the message \"Ping!\"",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pong_of_probe_has_the_number_of_the_request() {
        let sent = r#"{"ping":7}"#;
        let pong = Pong { pong: 7, arrived: 1, left: 2 };
        for (text, meaning) in [
            (r#"{"pong":7,"arrived":1,"left":2}"#, Meaning::TimedPong(pong)),
            (r#"{"pong":8,"arrived":1,"left":2}"#, Meaning::Other),
            ("Pong!", Meaning::Other),
            ("Error: no", Meaning::Error),
            (r#"[RE]: {"ping":7}"#, Meaning::Echo),
        ] {
            assert_eq!(Meaning::of_probe(text, sent, 7), meaning, "{text}");
        }
    }

    #[test]
    fn a_text_is_a_pong_an_error_an_echo_or_something_else() {
        let sent = r#"{"client_name": "a", "message": "Ping!"}"#;
        for (text, meaning) in [
            ("Pong!", Meaning::Pong),
            ("Error: no room", Meaning::Error),
            (sent, Meaning::Echo),
            (&format!("[RE]: {sent}"), Meaning::Echo),
            ("[host] hello :) type a message", Meaning::Other),
            ("Pong", Meaning::Other),
            ("", Meaning::Other),
        ] {
            assert_eq!(Meaning::of(text, sent), meaning, "{text}");
        }
    }
}
