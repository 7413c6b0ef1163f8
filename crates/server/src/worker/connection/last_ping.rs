//! The last ping of a connection with its line in the log. As a rule the next ping has the same
//! text: then its line is the same but for the stamp, and nothing has to be parsed or escaped.

use std::sync::Arc;

use crate::observe::Client;

/// Longest text that is remembered, in bytes.
const MAX_TEXT: usize = 256;

/// The client that sent the last ping, and the ping.
#[derive(Debug, Default)]
pub(super) struct LastPing {
    /// `None` before the first ping.
    pub(super) client: Option<Arc<Client>>,
    /// The text of the message, followed by the line without its stamp.
    bytes: Vec<u8>,
    /// Length of the text; 0 if none is remembered.
    text: usize,
}

impl LastPing {
    /// Remembers a ping with its line.
    pub(super) fn remember(&mut self, text: &str, line: &[u8]) {
        self.bytes.clear();
        self.text = 0;
        if text.len() <= MAX_TEXT {
            self.bytes.reserve_exact(text.len() + line.len());
            self.bytes.extend_from_slice(text.as_bytes());
            self.bytes.extend_from_slice(line);
            self.text = text.len();
        }
    }

    /// The text and the line; `None` if none are remembered.
    #[inline]
    pub(super) fn get(&self) -> Option<(&[u8], &[u8])> {
        (self.text > 0).then(|| self.bytes.split_at(self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_not_remembered() {
        let mut last = LastPing::default();
        assert_eq!(last.get(), None);
        last.remember("text", b"line\n");
        assert_eq!(last.get(), Some((&b"text"[..], &b"line\n"[..])));
        last.remember(&"x".repeat(MAX_TEXT + 1), b"line\n");
        assert_eq!(last.get(), None);
    }
}
