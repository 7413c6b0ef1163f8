//! The message of the ping/pong service and the reply to it.

use std::borrow::Cow;

use serde::Deserialize;

/// The reply to every ping that has been recorded.
pub const PONG: &str = "Pong!";

/// The default message of a client.
pub const PING: &str = "Ping!";

/// The beginning of each reply to an invalid message.
pub const ERROR_PREFIX: &str = "Error: ";

/// A ping: the text frame `{"client_name": "Client-100", "message": "Ping!"}`.
///
/// Unknown fields are ignored. Strings without escapes are borrowed from the frame.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Ping<'a> {
    /// The name of the client.
    #[serde(borrow)]
    pub client_name: Cow<'a, str>,
    /// The message, by default `Ping!`.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
}

impl<'a> Ping<'a> {
    /// Reads a ping from the text of a frame.
    ///
    /// # Errors
    /// If the text is not a JSON object with both fields as strings; the error says what was
    /// expected.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        Self::parse_common(text).map_or_else(|| Self::parse_any(text), Ok)
    }

    /// Fast path for the form that nearly every ping has: both fields in this order, at most one
    /// space after a colon or comma, no escapes. `None` leaves the decision to [`Self::parse_any`],
    /// which takes ten times the instructions.
    fn parse_common(text: &'a str) -> Option<Self> {
        let (client_name, rest) = plain_string(after_key(text, "{\"client_name\":")?)?;
        let rest = rest.strip_prefix(',')?;
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let (message, rest) = plain_string(after_key(rest, "\"message\":")?)?;
        (rest == "}").then(|| Self { client_name: client_name.into(), message: message.into() })
    }

    fn parse_any(text: &'a str) -> Result<Self, String> {
        // The derived deserializer would accept an array of two strings as well.
        if !text.trim_ascii_start().starts_with('{') {
            return Err(expected("it is not a JSON object"));
        }
        serde_json::from_str(text).map_err(|error| expected(&reason(&error)))
    }

    /// The text of the frame, with spaces as in the documented format.
    #[must_use]
    pub fn to_json(&self) -> String {
        let [name, message] = [&self.client_name, &self.message]
            .map(|text| serde_json::Value::from(text.as_ref()).to_string());
        format!("{{\"client_name\": {name}, \"message\": {message}}}")
    }
}

fn expected(reason: &str) -> String {
    format!(
        "expected a JSON object like {{\"client_name\": \"Client-100\", \"message\": \"Ping!\"}}: {reason}"
    )
}

/// The error of serde without its line and column.
pub(crate) fn reason(error: &serde_json::Error) -> String {
    let position = format!(" at line {} column {}", error.line(), error.column());
    let text = error.to_string();
    text.strip_suffix(&position).unwrap_or(&text).to_owned()
}

/// The text after a key and at most one space. Inlined, so that the key is compared as a constant.
#[inline(always)]
fn after_key<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(key)?;
    Some(rest.strip_prefix(' ').unwrap_or(rest))
}

/// Splits off a JSON string without escapes.
fn plain_string(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('"')?;
    let end = text.bytes().position(|byte| byte < 0x20 || matches!(byte, b'"' | b'\\'))?;
    let (string, rest) = text.split_at(end);
    Some((string, rest.strip_prefix('"')?))
}

/// A name without the one pair of double quotes around it that the list form of a compose
/// file's `environment:` (`- CLIENT_NAME="Client-100"`) leaves there.
#[must_use]
pub fn unquoted(name: &str) -> &str {
    name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ping<'a>(name: &'a str, message: &'a str) -> Ping<'a> {
        Ping { client_name: name.into(), message: message.into() }
    }

    #[test]
    fn the_documented_frame_is_written_and_parsed() {
        let text = r#"{"client_name": "Client-100", "message": "Ping!"}"#;
        assert_eq!(Ping::parse(text).unwrap(), ping("Client-100", "Ping!"));
        assert_eq!(Ping::parse_common(text), Some(ping("Client-100", "Ping!")));
        assert_eq!(ping("Client-100", "Ping!").to_json(), text);
    }

    #[test]
    fn strings_without_escapes_are_borrowed() {
        let parsed = Ping::parse(r#"{"client_name":"a","message":"b"}"#).unwrap();
        assert!(matches!(parsed.client_name, Cow::Borrowed("a")));
        assert!(matches!(parsed.message, Cow::Borrowed("b")));
    }

    #[test]
    fn order_blanks_and_unknown_fields_do_not_matter() {
        let text = " \n{\"x\": [1, {}], \"message\": \"m\", \"client_name\": \"\\u0041\"} ";
        assert_eq!(Ping::parse(text).unwrap(), ping("A", "m"));
    }

    #[test]
    fn an_invalid_ping_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "not a JSON object"),
            ("hello", "not a JSON object"),
            (r#"["a", "b"]"#, "not a JSON object"),
            ("{", "EOF"),
            (r#"{"client_name": "a"}"#, "missing field `message`"),
            (r#"{"message": "a"}"#, "missing field `client_name`"),
            (r#"{"client_name": 1, "message": "a"}"#, "invalid type: integer"),
            (r#"{"client_name": null, "message": "a"}"#, "invalid type: null"),
            (r#"{"client_name": "\ud800", "message": "a"}"#, "hex escape"),
            (r#"{"client_name": "a", "message": "b"} x"#, "trailing characters"),
        ] {
            let error = Ping::parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
            assert!(error.contains("client_name"), "{text}: {error}");
            assert!(!error.contains(" at line "), "{text}: {error}");
        }
    }

    #[test]
    fn one_pair_of_quotes_is_dropped() {
        for (name, bare) in [
            ("\"Client-100\"", "Client-100"),
            ("Client-100", "Client-100"),
            ("\"\"x\"\"", "\"x\""),
            ("\"", "\""),
            ("\"\"", ""),
            ("\"open", "\"open"),
        ] {
            assert_eq!(unquoted(name), bare);
        }
    }

    proptest! {
        #[test]
        fn a_ping_survives_the_way_through_json(name in any::<String>(), message in any::<String>()) {
            let json = ping(&name, &message).to_json();
            prop_assert_eq!(Ping::parse(&json).unwrap(), ping(&name, &message));
        }

        #[test]
        fn the_fast_path_agrees_with_serde_json(
            name in any::<String>(),
            message in "[^\\x00-\\x1f]{0,9}",
            blanks in any::<[bool; 3]>(),
            end in "[} ]?",
        ) {
            let [a, b, c] = blanks.map(|blank| if blank { " " } else { "" });
            let text = format!("{{\"client_name\":{a}\"{name}\",{b}\"message\":{c}\"{message}\"{end}");
            if let Some(ping) = Ping::parse_common(&text) {
                prop_assert_eq!(Ok(ping), Ping::parse_any(&text));
            }
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = Ping::parse(&text);
        }
    }
}
