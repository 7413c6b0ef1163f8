//! What all connections share.

use std::cell::{OnceCell, RefCell};
use std::time::Duration;

use hyper::HeaderMap;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::Options;
use super::fleet::Fleet;
use crate::backoff::Backoff;
use crate::connection::Connection;
use crate::net::ConnectError;
use crate::probe::crowd::instance::{By, Instance, certain};
use crate::probe::crowd::way::{Way, evidence, first_message};
use crate::probe::link::Link;
use crate::probe::report::Printer;

/// Time between two pings of a connection.
const PERIOD: Duration = Duration::from_secs(1);

/// Moments of a period in which connections ping. To ping many at once takes less of the processor
/// than to ping each at a moment of its own.
const SLOTS: u64 = 50;

/// Connections that are made at the same time.
const OPENING: usize = 256;

/// Tries to make the first connection.
const TRIES: u32 = 3;

/// How long a look-up of names holds.
const FRESH: Duration = Duration::from_millis(20);

/// How long a server has for a first message that may name it.
const MESSAGE: Duration = Duration::from_secs(1);

/// A connection that has just been made.
pub(super) struct Made {
    pub(super) link: Link,
    pub(super) connection: Connection,
    pub(super) instance: Option<Instance>,
}

/// What all connections share.
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) printer: Printer,
    pub(super) fleet: RefCell<Fleet>,
    pub(super) started: Instant,
    /// What names the instances, once that is known.
    by: OnceCell<Option<By>>,
    way: Way,
    opening: Semaphore,
}

impl Shared {
    pub(super) fn new(options: Options, printer: Printer) -> Self {
        let started = Instant::now();
        let way = Way::new(options.endpoint.clone(), options.sources.clone(), FRESH);
        Self {
            fleet: RefCell::new(Fleet::new(started, options.connections)),
            by: OnceCell::new(),
            opening: Semaphore::new(OPENING),
            options,
            printer,
            started,
            way,
        }
    }

    /// The first connection that can be made, of a few tries: one refusal may be that of one server
    /// of many.
    async fn reach(&self) -> Option<Link> {
        let mut backoff = Backoff::default();
        for _ in 0..TRIES {
            match self.way.connect(0, self.options.patience).await {
                Ok(link) => return Some(link),
                Err(cause) => self.fleet.borrow_mut().refuse(cause.to_string(), false),
            }
            sleep(backoff.next(rand::random(), None)).await;
        }
        None
    }

    /// Makes the first connection, which shows what names the instances. `None` if there is no
    /// server.
    pub(super) async fn first(&self) -> Option<Made> {
        let mut link = self.reach().await?;
        let mut evidence = evidence(&link);
        if evidence.hello.is_none() {
            let is_needed = self.options.by.as_ref().is_some_and(By::is_message);
            let wait = if is_needed { self.options.patience } else { MESSAGE };
            evidence.message = first_message(&mut link, Instant::now() + wait).await;
        }
        let by = self.options.by.clone().or_else(|| certain(&evidence));
        let instance = by.as_ref().and_then(|by| evidence.instance(by));
        slim(&mut link);
        self.fleet.borrow_mut().by = by.clone();
        // The first connection alone comes here.
        let _ = self.by.set(by);
        Some(Made { connection: told(&link), link, instance })
    }

    /// Makes a connection.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn connect(&self, number: u64) -> Result<Made, ConnectError> {
        // Never closed.
        let _permit = self.opening.acquire().await;
        let mut link = self.way.connect(number, self.options.patience).await?;
        let mut evidence = evidence(&link);
        let by = self.by.get().and_then(Option::as_ref);
        if by.is_some_and(By::is_message) {
            let until = Instant::now() + self.options.patience;
            evidence.message = first_message(&mut link, until).await;
        }
        let instance = by.and_then(|by| evidence.instance(by));
        slim(&mut link);
        Ok(Made { connection: told(&link), link, instance })
    }

    /// The first moment for a ping of a connection after `now`.
    pub(super) fn next_ping(&self, number: u64, now: Instant) -> Instant {
        let passed = now.duration_since(self.started);
        self.started + next(passed, offset(number, self.options.connections))
    }

    /// The moment at which a connection is made first.
    pub(super) fn first_moment(&self, number: u64) -> Instant {
        self.started + offset(number, self.options.connections)
    }
}

/// Lets go of what a connection keeps of its beginning: the headers hold all that hyper read.
fn slim(link: &mut Link) {
    link.agreed.headers = HeaderMap::new();
}

fn told(link: &Link) -> Connection {
    Connection::new(link.address.to_string(), link.phases)
}

/// Where in a period a connection pings.
fn offset(number: u64, connections: u64) -> Duration {
    let slots = SLOTS.min(connections).max(1);
    PERIOD.mul_f64((number % slots) as f64 / slots as f64)
}

/// The first time after `passed` that is a number of periods and `offset`.
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
