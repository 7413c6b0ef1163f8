//! Outages of a server: when and how each began, and the likely cause.
//!
//! [`activity`] tracks the age and silence of a connection, [`observed_end`] classifies its end,
//! [`history`] keeps the outages, and [`mod@cause`] infers the common cause of all ends.

pub mod activity;
pub mod cause;
pub mod history;
pub mod observed_end;
mod report;

use std::time::Duration;

use tokio::time::Instant;

use activity::AgeAtEnd;
use observed_end::ObservedEnd;

/// A time in which the server was unavailable: from the end of a connection, or the beginning of a
/// first attempt to connect that fails, to the next reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// How the outage began.
    pub seen: ObservedEnd,
    /// How the outage began, as text.
    pub reason: String,
    /// When the outage began. A silence begins with the last frame received.
    pub began: Instant,
    /// Length of the outage.
    pub length: Duration,
    /// The connection whose end began the outage, if any.
    pub cut: Option<AgeAtEnd>,
    /// The instance that answered before, if the server names its instance.
    pub before: Option<String>,
    /// The instance that answered after.
    pub after: Option<String>,
    /// Whether a reply ended the outage. Otherwise the client stopped first.
    pub is_over: bool,
}
