//! URLs as settings. clap repeats a wrong value in its message; a URL may hold a password, so it
//! is parsed here.

use crate::net::url::{ServerUrl, redacted};

/// A URL as it was given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given<'a> {
    /// The setting that it was given with.
    pub(super) name: &'static str,
    pub(super) text: &'a str,
}

impl<'a> Given<'a> {
    /// The argument without a flag.
    pub(super) fn argument(text: &'a String) -> Self {
        Self { name: "URL", text }
    }
}

/// # Errors
/// The setting, its value without user and password, and what is wrong with it.
pub(super) fn parse_url(given: Given<'_>) -> Result<ServerUrl, String> {
    let Given { name, text } = given;
    text.parse().map_err(|fault| format!("{name} is {:?}, but {fault}", redacted(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_setting_and_the_value_without_the_password() {
        let told = |text| parse_url(Given { name: "URL", text }).unwrap_err();
        assert_eq!(
            told("localhost"),
            "URL is \"localhost\", but the scheme is missing: write ws://localhost, or wss:// for TLS"
        );
        assert_eq!(
            told("ws://user:secret@host:0"),
            "URL is \"ws://***@host:0\", but the port *** is not allowed: it is a number from 1 to 65535 (in a password, / is written as %2F, ? as %3F and # as %23)"
        );
    }
}
