//! Why a connection could not be made.

use std::fmt;
use std::time::Duration;

use hyper::StatusCode;

use super::fault::{Fault, Progress};

/// Why a connection could not be made, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectError {
    cause: String,
    retry_after: Option<Duration>,
    redirect: Option<Redirect>,
    details: Box<Details>,
}

/// What a program can tell from an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Details {
    fault: Fault,
    progress: Progress,
}

/// Where a server redirects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redirect {
    pub(crate) status: StatusCode,
    /// The header `Location` as it came.
    pub(crate) location: String,
}

impl ConnectError {
    /// An error of a server that asks for this much time before the next try (`Retry-After`).
    pub(crate) fn refused(cause: String, retry_after: Option<Duration>) -> Self {
        Self { retry_after, ..cause.into() }
    }

    /// The same error, of this kind.
    pub(crate) fn of(mut self, fault: Fault) -> Self {
        self.details.fault = fault;
        self
    }

    /// The same error, of a connection that came so far.
    pub(crate) fn at(mut self, progress: Progress) -> Self {
        self.details.progress = progress;
        self
    }

    /// What kind of error it is.
    pub(crate) fn fault(&self) -> &Fault {
        &self.details.fault
    }

    /// How far the connection came.
    pub(crate) fn progress(&self) -> &Progress {
        &self.details.progress
    }

    /// The same error, of a server that redirects to another place.
    pub(crate) fn redirecting(self, redirect: Option<Redirect>) -> Self {
        Self { redirect, ..self }
    }

    /// The same error, behind what led to it.
    pub(crate) fn after(self, what: &str) -> Self {
        Self { cause: format!("{what}: {}", self.cause), ..self }
    }

    /// Where the server redirects to.
    pub(crate) fn redirect(&self) -> Option<&Redirect> {
        self.redirect.as_ref()
    }

    /// How long the server asks to be left alone (`Retry-After`, RFC 9110, section 10.2.3).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl From<String> for ConnectError {
    fn from(cause: String) -> Self {
        Self { cause, retry_after: None, redirect: None, details: Box::default() }
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
