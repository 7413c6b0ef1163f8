//! How a server is asked for a sign of life, and what is known of its answers.

use std::fmt;

use proto::PONG;
use proto::ping::ERROR_PREFIX;

/// How a server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// With the message of this project, which `Pong!` answers.
    Message,
    /// With a Ping frame, which every server answers (RFC 6455, section 5.5.3).
    Frame,
}

/// The way, and whether the server has answered that way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asking {
    /// How the server is asked.
    pub way: Way,
    /// Whether the way is certain: the server has answered, or the user has chosen.
    pub is_certain: bool,
}

/// Why the message is no way to measure a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The server returns what it gets.
    Echo,
    /// The server answers with something else.
    OtherText,
    /// The server answers nothing, and lives.
    Nothing,
}

/// What a text from the server means while the message has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Pong,
    Error,
    Echo,
    Other,
}

impl Asking {
    /// With Ping frames if the user wants these, else with the message until that proves unfit.
    #[must_use]
    pub fn begin(with_frames: bool) -> Self {
        let way = if with_frames { Way::Frame } else { Way::Message };
        Self { way, is_certain: with_frames }
    }
}

impl Meaning {
    /// The meaning of a text, after the message `sent`. Servers that echo may put something around.
    pub(super) fn of(text: &str, sent: &str) -> Self {
        match text {
            PONG => Self::Pong,
            text if text.starts_with(ERROR_PREFIX) => Self::Error,
            text if text.contains(sent) => Self::Echo,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Echo => "returns what it gets, which is no Pong",
            Self::OtherText => "answers \"Ping!\" with something else than \"Pong!\"",
            Self::Nothing => "answers Ping frames, but nothing to the message \"Ping!\"",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
