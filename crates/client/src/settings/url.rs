//! URLs as settings. clap would repeat a wrong value in its error, and a URL may hold a password,
//! so URLs are parsed after clap.

use program::redacted;

use crate::net::url::ServerUrl;

/// The text of a URL, and its setting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given<'a> {
    /// The setting that holds the text.
    pub(super) name: &'static str,
    pub(super) text: &'a str,
}

impl<'a> Given<'a> {
    /// A positional argument.
    pub(super) fn argument(text: &'a String) -> Self {
        Self { name: "URL", text }
    }

    /// Whether the text may be a misspelt command.
    pub(super) fn is_word(self) -> bool {
        self.name == "URL"
            && !self.text.is_empty()
            && self.text.bytes().all(|byte| byte.is_ascii_lowercase())
    }
}

/// Parses the URL of a setting.
///
/// # Errors
/// The setting, its value without user and password, and what is wrong with it.
pub(super) fn parse_url(given: Given<'_>) -> Result<ServerUrl, String> {
    let Given { name, text } = given;
    let fault = match text.parse() {
        Ok(_) if is_ambiguous(text) => AMBIGUOUS.to_owned(),
        Ok(url) => return Ok(url),
        Err(fault) => fault,
    };
    Err(format!("{name} is {:?}, but {fault}", redacted(text)))
}

const AMBIGUOUS: &str = "what stands before the @ may be a user with a password, or a host with its port: in a password, / is written as %2F, ? as %3F and # as %23, and in a path @ as %40";

/// Whether a valid URL may be one with an unencoded password: `ws://user:12/3@host` has the host
/// `user`, the port 12 and the path `/3@host`, but more likely `12/3` is a password, which the
/// client would print as part of the URL.
fn is_ambiguous(text: &str) -> bool {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let has_port = authority.contains(':') && !authority.starts_with('[');
    has_port && !authority.contains('@') && rest.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_setting_and_the_value_without_the_password() {
        let error = |text| parse_url(Given { name: "URL", text }).unwrap_err();
        assert_eq!(
            error("localhost"),
            "URL is \"localhost\", but the scheme is missing: write ws://localhost, or wss:// for TLS"
        );
        assert_eq!(
            error("ws://user:secret@host:0"),
            "URL is \"ws://***@host:0\", but the port *** is not allowed: it is a number from 1 to 65535 (in a password, / is written as %2F, ? as %3F and # as %23)"
        );
    }

    #[test]
    fn a_password_with_a_slash_is_not_taken_for_a_port_and_a_path() {
        let parse = |text| parse_url(Given { name: "URL", text });
        for text in ["ws://u:12/3@h", "ws://u:12?3@h", "wss://u:1/@"] {
            let error = parse(text).unwrap_err();
            assert!(error.ends_with(AMBIGUOUS) && !error.contains("12"), "{error}");
        }
        for text in ["ws://h:12/3%40h", "ws://h/3@h", "ws://[::1]/3@h", "ws://u:p@h:12/3@h"] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }
}
