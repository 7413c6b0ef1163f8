//! The error of a failed connection attempt: one line of text, `Retry-After` and redirect.

use std::fmt;
use std::time::Duration;

use hyper::StatusCode;

use super::fault::{Fault, Progress};
use super::url::ServerUrl;

/// The advice at the end of the error of a failed attempt to connect.
pub(crate) const SEE_WHY: &str = "run client why to find the cause";

/// The error of a run that ends since no connection to `url` can be made.
pub(crate) fn cannot_connect(url: &ServerUrl, cause: &dyn fmt::Display) -> String {
    format!("cannot connect to {url}: {cause}; {SEE_WHY}")
}

/// Why a connection could not be made, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectError {
    cause: String,
    retry_after: Option<Duration>,
    redirect: Option<Redirect>,
    details: Box<Details>,
}

/// The error in a form that a program can evaluate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Details {
    fault: Fault,
    progress: Progress,
}

/// A redirect of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redirect {
    pub(crate) status: StatusCode,
    /// The value of the header `Location`.
    pub(crate) location: String,
}

impl ConnectError {
    /// The error of a server that asks for a pause before the next attempt (`Retry-After`).
    pub(crate) fn refused(cause: String, retry_after: Option<Duration>) -> Self {
        Self { retry_after, ..cause.into() }
    }

    /// Sets the kind of error.
    pub(crate) fn of(mut self, fault: Fault) -> Self {
        self.details.fault = fault;
        self
    }

    /// Sets the progress of the attempt to connect.
    pub(crate) fn at(mut self, progress: Progress) -> Self {
        self.details.progress = progress;
        self
    }

    /// The kind of error.
    pub(crate) fn fault(&self) -> &Fault {
        &self.details.fault
    }

    /// The progress of the attempt to connect, up to its failure.
    pub(crate) fn progress(&self) -> &Progress {
        &self.details.progress
    }

    /// Sets where the server redirects to.
    pub(crate) fn redirecting(self, redirect: Option<Redirect>) -> Self {
        Self { redirect, ..self }
    }

    /// Puts `what` and a colon before the text.
    pub(crate) fn after(self, what: &str) -> Self {
        Self { cause: format!("{what}: {}", self.cause), ..self }
    }

    /// The redirect, if the server redirects.
    pub(crate) fn redirect(&self) -> Option<&Redirect> {
        self.redirect.as_ref()
    }

    /// The pause that the server asks for (`Retry-After`, RFC 9110, section 10.2.3).
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
