//! The report of a connection, made when it opens or at its first reply.

use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};
use tokio::time::Instant;

use crate::net::Phases;
use crate::record::seconds;

/// Address, phases and instance of a connection, as reported.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionReport {
    pub(crate) address: String,
    pub(crate) phases: Phases,
    /// The instance of the server, if the server names its instance.
    pub(crate) instance: Option<String>,
    made: Instant,
    at: SystemTime,
}

/// The JSON fields of a connection.
#[derive(Debug, Serialize)]
pub(crate) struct Fields<'a> {
    url: &'a str,
    address: &'a str,
    instance: Option<&'a str>,
    #[serde(serialize_with = "as_map")]
    phases: [(&'static str, Option<Duration>); 6],
}

fn as_map<S: Serializer>(
    phases: &[(&str, Option<Duration>)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(phases.iter().map(|(name, time)| (name, time.map(seconds))))
}

impl ConnectionReport {
    /// A connection opened now.
    pub(crate) fn new(address: String, phases: Phases) -> Self {
        let (made, at) = (Instant::now(), SystemTime::now());
        Self { address, phases, instance: None, made, at }
    }

    /// When the connection was opened.
    pub(crate) fn at(&self) -> SystemTime {
        self.at
    }

    /// The name and time of each phase, and of the first reply.
    pub(crate) fn phases(
        &self,
        first_reply: Option<Duration>,
    ) -> [(&'static str, Option<Duration>); 6] {
        let Phases { dns, proxy, tcp, tls, upgrade } = self.phases;
        [
            ("dns", dns),
            ("proxy", proxy),
            ("tcp", tcp),
            ("tls", tls),
            ("upgrade", upgrade),
            ("first_reply", first_reply),
        ]
    }

    /// Time since the connection was opened.
    pub(crate) fn age(&self) -> Duration {
        self.made.elapsed()
    }

    /// The JSON fields, with the time to the first reply, if there is one.
    pub(crate) fn fields<'a>(&'a self, url: &'a str, first_reply: Option<Duration>) -> Fields<'a> {
        let (address, instance) = (self.address.as_str(), self.instance.as_deref());
        Fields { url, address, instance, phases: self.phases(first_reply) }
    }
}
