//! A connection, as it is told: at once, or when its first reply has come.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::time::Instant;

use crate::net::Phases;
use crate::record::seconds;

/// A connection that was made and has no reply yet.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) address: String,
    pub(crate) phases: Phases,
    made: Instant,
    at: SystemTime,
}

/// The fields of the object in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Fields<'a> {
    url: &'a str,
    address: String,
    /// Which of several servers it is. Only a server that tells it has one.
    instance: Option<&'a str>,
    phases: PhaseFields,
}

#[derive(Debug, Serialize)]
struct PhaseFields {
    dns: Option<f64>,
    proxy: Option<f64>,
    tcp: Option<f64>,
    tls: Option<f64>,
    upgrade: Option<f64>,
    first_reply: Option<f64>,
}

impl Connection {
    /// A connection that has just been made.
    pub(crate) fn new(address: String, phases: Phases) -> Self {
        Self { address, phases, made: Instant::now(), at: SystemTime::now() }
    }

    /// When it was made.
    pub(crate) fn at(&self) -> SystemTime {
        self.at
    }

    /// Each phase with its name, and the time to the first reply, if there is one.
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

    /// Time since the connection was made.
    pub(crate) fn age(&self) -> Duration {
        self.made.elapsed()
    }

    /// The object, with the time to the first reply, if there is one.
    pub(crate) fn fields<'a>(&self, url: &'a str, first_reply: Option<Duration>) -> Fields<'a> {
        self.fields_of(url, first_reply, None)
    }

    /// The same, with the instance that answered, if it is known.
    pub(crate) fn fields_of<'a>(
        &self,
        url: &'a str,
        first_reply: Option<Duration>,
        instance: Option<&'a str>,
    ) -> Fields<'a> {
        let [dns, proxy, tcp, tls, upgrade, first_reply] =
            self.phases(first_reply).map(|(_, time)| time.map(seconds));
        let phases = PhaseFields { dns, proxy, tcp, tls, upgrade, first_reply };
        Fields { url, address: self.address.clone(), instance, phases }
    }
}
