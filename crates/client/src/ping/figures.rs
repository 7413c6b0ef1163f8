//! What the pings of a run come to, in numbers. The names are those of the verdict in JSON.

use serde::{Serialize, Serializer};

use crate::outage::cause::Cause;

/// All figures of a run. Times are in seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Pings whose fate is known.
    pub sent: u64,
    /// Pings that were answered.
    pub received: u64,
    /// Pings that were not.
    pub lost: u64,
    /// Round trips; `None` without any.
    pub times: Option<Times>,
    /// Times in which the server was not there.
    pub outages: u64,
    /// Outages that began with the end of a connection.
    pub cuts: u64,
    /// How long the outages were in all.
    pub outage_total: f64,
    /// How long the longest was.
    pub outage_longest: f64,
    /// The part of the time, from 0 to 1, in which the server was there.
    pub availability: f64,
    /// What fits all cuts; `None` without any.
    #[serde(serialize_with = "cause_name")]
    pub cause: Option<Cause>,
}

/// Round trips, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Times {
    /// The least.
    pub min: f64,
    /// The average.
    pub avg: f64,
    /// The median.
    pub p50: f64,
    /// Nine of ten took this time at most.
    pub p90: f64,
    /// 99 of 100 took this time at most.
    pub p99: f64,
    /// The greatest.
    pub max: f64,
}

impl Figures {
    /// The part of the pings, from 0 to 1, that was lost; `None` without any.
    #[must_use]
    pub fn loss(&self) -> Option<f64> {
        (self.sent > 0).then(|| self.lost as f64 / self.sent as f64)
    }
}

#[expect(clippy::ref_option, reason = "serde passes the field")]
fn cause_name<S: Serializer>(cause: &Option<Cause>, serializer: S) -> Result<S::Ok, S::Error> {
    cause.map(Cause::name).serialize(serializer)
}
