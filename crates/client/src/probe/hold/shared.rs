//! The state that all connections share: the options, the counts, and the times of pings.

use std::cell::{OnceCell, RefCell};
use std::time::Duration;

use hyper::HeaderMap;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::Options;
use super::stats::Stats;
use crate::backoff::Backoff;
use crate::connection_report::ConnectionReport;
use crate::net::ConnectError;
use crate::probe::connector::{Connector, evidence, first_message, message_wait};
use crate::probe::instances::{Evidence, Instance, NameSource, certain};
use crate::probe::link::Link;
use crate::probe::output::Printer;

/// Time between two pings of a connection.
const PERIOD: Duration = Duration::from_secs(1);

/// Instants of a period at which connections ping. To ping many at once takes less processor time
/// than to ping each at an instant of its own.
const SLOTS: u64 = 50;

/// Connections that are being opened at the same time.
const OPENING: usize = 256;

/// Tries to open the first connection.
const TRIES: u32 = 3;

/// How long a resolved name is used.
const FRESH: Duration = Duration::from_millis(20);

/// A connection that has just been opened.
pub(super) struct Made {
    pub(super) link: Link,
    pub(super) connection: ConnectionReport,
    pub(super) instance: Option<Instance>,
}

/// The state that all connections share.
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) printer: Printer,
    pub(super) stats: RefCell<Stats>,
    pub(super) started: Instant,
    /// The part of the answers that names the instances, once known.
    by: OnceCell<Option<NameSource>>,
    connector: Connector,
    opening: Semaphore,
}

impl Shared {
    pub(super) fn new(options: Options, printer: Printer) -> Self {
        let started = Instant::now();
        let connector = Connector::new(options.endpoint.clone(), options.sources.clone(), FRESH);
        Self {
            stats: RefCell::new(Stats::new(options.connections)),
            by: OnceCell::new(),
            opening: Semaphore::new(OPENING),
            options,
            printer,
            started,
            connector,
        }
    }

    /// Opens the first connection, which shows what names the instances. `None` if all tries failed.
    pub(super) async fn first(&self) -> Option<Made> {
        let mut link = self.try_to_connect().await?;
        let mut evidence = evidence(&link);
        let Options { by, patience, .. } = &self.options;
        if let Some(wait) = message_wait(by.as_ref(), evidence.hello.is_some(), *patience) {
            evidence.message = first_message(&mut link, Instant::now() + wait).await;
        }
        let by = self.by.get_or_init(|| by.clone().or_else(|| certain(&evidence)));
        self.stats.borrow_mut().by.clone_from(by);
        Some(Made::new(link, &evidence, by.as_ref()))
    }

    /// Tries several times: a refusal may come from only one of many servers.
    async fn try_to_connect(&self) -> Option<Link> {
        let mut backoff = Backoff::default();
        for _ in 0..TRIES {
            match self.connector.connect(0, self.options.patience).await {
                Ok(link) => return Some(link),
                Err(cause) => self.stats.borrow_mut().refuse(cause.to_string(), false),
            }
            sleep(backoff.next(rand::random(), None)).await;
        }
        None
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// If the connection cannot be opened; the error says why.
    pub(super) async fn connect(&self, number: u64) -> Result<Made, ConnectError> {
        // The semaphore is never closed.
        let _permit = self.opening.acquire().await;
        let patience = self.options.patience;
        let mut link = self.connector.connect(number, patience).await?;
        let mut evidence = evidence(&link);
        let by = self.by.get().and_then(Option::as_ref);
        if by.is_some_and(NameSource::is_message) {
            evidence.message = first_message(&mut link, Instant::now() + patience).await;
        }
        Ok(Made::new(link, &evidence, by))
    }

    /// When a connection pings next after `now`.
    pub(super) fn next_ping(&self, number: u64, now: Instant) -> Instant {
        let passed = now.duration_since(self.started);
        self.started + next(passed, offset(number, self.options.connections))
    }

    /// When a connection is opened for the first time.
    pub(super) fn first_opening(&self, number: u64) -> Instant {
        self.started + offset(number, self.options.connections)
    }
}

impl Made {
    fn new(mut link: Link, evidence: &Evidence, by: Option<&NameSource>) -> Self {
        let instance = by.and_then(|by| evidence.instance(by));
        // Saves memory: the headers keep the whole read buffer of hyper.
        link.agreed.headers = HeaderMap::new();
        Self {
            connection: ConnectionReport::new(link.address.to_string(), link.phases),
            link,
            instance,
        }
    }
}

/// When a connection pings, from the beginning of a period.
fn offset(number: u64, connections: u64) -> Duration {
    let slots = SLOTS.min(connections).max(1);
    PERIOD.mul_f64((number % slots) as f64 / slots as f64)
}

/// The first time after `passed` that is a whole number of periods and `offset`.
fn next(passed: Duration, offset: Duration) -> Duration {
    let periods = passed.saturating_sub(offset).as_nanos() / PERIOD.as_nanos();
    let last = offset + PERIOD * u32::try_from(periods).unwrap_or(u32::MAX);
    if last > passed { last } else { last + PERIOD }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_ping_once_a_period_spread_over_its_slots() {
        let millis = Duration::from_millis;
        assert_eq!([0, 1, 2].map(|number| offset(number, 3).as_millis()), [0, 333, 666]);
        let of_many: Vec<_> = (0..100).map(|number| offset(number, 500)).collect();
        assert_eq!((of_many[1], of_many[49]), (millis(20), millis(980)));
        assert_eq!(of_many[50..], of_many[..50]);
        for (passed, offset, expected) in [
            (0, 0, 1000),
            (0, 20, 20),
            (19, 20, 20),
            (20, 20, 1020),
            (999, 20, 1020),
            (5000, 980, 5980),
            (5990, 980, 6980),
        ] {
            assert_eq!(next(millis(passed), millis(offset)), millis(expected), "{passed} {offset}");
        }
    }
}
