//! When a server was not there, how that began, and what may have cut the connections.
//!
//! [`activity`] knows since when a connection lives and is silent, [`seen`] how its end looked,
//! [`ledger`] keeps the outages that follow, and [`mod@cause`] says what fits all ends together.

pub mod activity;
pub mod cause;
pub mod ledger;
mod report;
pub mod seen;

use std::time::Duration;

use tokio::time::Instant;

use activity::Cut;
use seen::Seen;

/// A time in which the server was not there: from the end of a connection, or from the first try
/// that failed, to the next reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// How its beginning looked.
    pub seen: Seen,
    /// The beginning in words.
    pub reason: String,
    /// When it began. Silence begins with the last sign of life.
    pub began: Instant,
    /// How long it lasted.
    pub length: Duration,
    /// The connection that ended, if it began with one.
    pub cut: Option<Cut>,
    /// Whether a reply ended it. Else the client stopped first.
    pub is_over: bool,
}
