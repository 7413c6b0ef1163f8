//! Why a connection could not be made.

use std::fmt;
use std::time::Duration;

/// Why a connection could not be made, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectError {
    cause: String,
    retry_after: Option<Duration>,
}

impl ConnectError {
    /// An error of a server that asks for this much time before the next try (`Retry-After`).
    pub(crate) fn refused(cause: String, retry_after: Option<Duration>) -> Self {
        Self { cause, retry_after }
    }

    /// How long the server asks to be left alone (`Retry-After`, RFC 9110, section 10.2.3).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl From<String> for ConnectError {
    fn from(cause: String) -> Self {
        Self { cause, retry_after: None }
    }
}

impl From<&str> for ConnectError {
    fn from(cause: &str) -> Self {
        cause.to_owned().into()
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)
    }
}

impl std::error::Error for ConnectError {}
