//! The figures of a run. The field names are those of the verdict in JSON.

use serde::{Serialize, Serializer};

use crate::outage::cause::Cause;

/// All figures of a run. Times are in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Completed pings, answered or lost.
    pub sent: u64,
    /// Pings that were answered.
    pub received: u64,
    /// Pings that were not answered.
    pub lost: u64,
    /// Round-trip times; `None` without a reply.
    pub times: Option<Times>,
    /// Times within the server; `None` unless the server reports them, as `/probe` does.
    pub server_times: Option<ServerTimes>,
    /// Delay variation of each direction; `None` unless the server reports its clock.
    pub variation: Option<Variation>,
    /// Number of outages.
    pub outages: u64,
    /// Outages that began with the end of a connection.
    pub cuts: u64,
    /// Total length of the outages.
    pub outage_total: f64,
    /// Length of the longest outage.
    pub outage_longest: f64,
    /// Fraction of the time, from 0 to 1, in which the server was available.
    pub availability: f64,
    /// The common cause of all cuts; `None` without a cut.
    #[serde(serialize_with = "cause_name")]
    pub cause: Option<Cause>,
}

/// Times within the server, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ServerTimes {
    /// The minimum.
    pub min: f64,
    /// The average.
    pub avg: f64,
    /// The maximum.
    pub max: f64,
}

/// How much the delay of a ping differs from that of the ping before (RFC 3393), in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Variation {
    /// The average on the way to the server.
    pub to_server: f64,
    /// The average on the way back.
    pub from_server: f64,
}

/// Round-trip times, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Times {
    /// The minimum.
    pub min: f64,
    /// The average.
    pub avg: f64,
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The maximum.
    pub max: f64,
}

impl Figures {
    /// The fraction of lost pings, from 0 to 1; `None` without a completed ping.
    #[must_use]
    pub fn loss(&self) -> Option<f64> {
        (self.sent > 0).then(|| self.lost as f64 / self.sent as f64)
    }
}

#[expect(clippy::ref_option, reason = "serde passes the field")]
fn cause_name<S: Serializer>(cause: &Option<Cause>, serializer: S) -> Result<S::Ok, S::Error> {
    cause.map(Cause::name).serialize(serializer)
}
