//! A pattern that extracts the name of an instance from a message.

use std::fmt;
use std::str::FromStr;

/// `PREFIX*SUFFIX`: the name stands between the first `PREFIX` and the next `SUFFIX`, or the end of
/// the message if `SUFFIX` is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    prefix: String,
    suffix: String,
}

impl Pattern {
    /// The pattern for a message that consists of the name.
    pub(crate) fn whole() -> Self {
        Self { prefix: String::new(), suffix: String::new() }
    }

    /// The name in a message, without spaces around it; `None` if empty.
    #[must_use]
    pub fn find<'a>(&self, message: &'a str) -> Option<&'a str> {
        let start = message.find(&self.prefix)? + self.prefix.len();
        let rest = &message[start..];
        let end = if self.suffix.is_empty() { rest.len() } else { rest.find(&self.suffix)? };
        Some(rest[..end].trim()).filter(|name| !name.is_empty())
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('*') {
            Some((prefix, suffix)) if !suffix.contains('*') => {
                Ok(Self { prefix: prefix.into(), suffix: suffix.into() })
            }
            _ => {
                Err("a pattern has one * in it, which stands for the name, as in message:[*]"
                    .into())
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}*{}", self.prefix, self.suffix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_stands_between_prefix_and_suffix() {
        for (pattern, message, name) in [
            ("[*]", "[web-1] hello :) [x]", Some("web-1")),
            ("from * ", "greetings from web-1 to you", Some("web-1")),
            (r#""host":"*""#, r#"{"a":1,"host":"web-1","b":2}"#, Some("web-1")),
            ("node *", "this is node 7\n", Some("7")),
            ("*", "web-1", Some("web-1")),
            ("*:", "web-1:8080", Some("web-1")),
            ("[*]", "hello", None),
            ("[*]", "[web-1", None),
            ("[*]", "[]", None),
            ("*", "", None),
            ("ä*ü", "xäöü", Some("ö")),
        ] {
            let parsed: Pattern = pattern.parse().unwrap();
            assert_eq!(parsed.to_string(), pattern);
            assert_eq!(parsed.find(message), name, "{pattern} in {message}");
        }
        for wrong in ["", "web-1", "*-*"] {
            assert!(wrong.parse::<Pattern>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_message_panics(prefix in ".{0,3}", suffix in ".{0,3}", message in any::<String>()) {
            if let Ok(pattern) = format!("{prefix}*{suffix}").parse::<Pattern>() {
                let _ = pattern.find(&message);
            }
        }
    }
}
