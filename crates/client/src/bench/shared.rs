//! What the connections of one thread have in common.

use std::cell::{Cell, RefCell, RefMut};
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use hdrhistogram::CreationError;
use tokio::sync::Notify;

use super::figures::Figures;
use super::progress::Counters;
use super::schedule::Schedule;
use crate::net::route::Route;

/// Largest read, in bytes.
const INPUT: usize = 64 * 1024;

/// Connections to a loopback address from one source address; a bit less than the ports that the
/// system hands out.
const PER_SOURCE: u64 = 20_000;

/// What is to be done, by all threads.
pub(crate) struct Plan {
    pub(crate) route: Route,
    /// The text of each ping.
    pub(crate) text: Vec<u8>,
    pub(crate) connections: u64,
    pub(crate) in_flight: u32,
    pub(crate) schedule: Option<Schedule>,
    /// Time that a reply may take.
    pub(crate) patience: Duration,
    pub(crate) sources: Vec<IpAddr>,
    /// Makes a connection again that is lost.
    pub(crate) reconnects: bool,
}

impl Plan {
    /// The address that a connection is made from; `None` leaves it to the system.
    pub(crate) fn source(&self, number: u64, target: IpAddr) -> Option<IpAddr> {
        source(&self.sources, self.connections, number, target)
    }
}

fn source(sources: &[IpAddr], connections: u64, number: u64, target: IpAddr) -> Option<IpAddr> {
    if !sources.is_empty() {
        let fits = |source: &&IpAddr| source.is_ipv4() == target.is_ipv4();
        let fitting: Vec<_> = sources.iter().filter(fits).collect();
        let turn = number.checked_rem(fitting.len() as u64).unwrap_or(0) as usize;
        return fitting.get(turn).copied().or(sources.first()).copied();
    }
    let is_spread = connections > PER_SOURCE && target.is_ipv4() && target.is_loopback();
    let address = u32::try_from(number / PER_SOURCE).ok()?;
    is_spread.then(|| Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + address).into())
}

/// What the connections do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// They are being made.
    Opening,
    /// They ping.
    Running,
    /// They take the last replies.
    Draining,
    /// They do the closing handshake.
    Closing,
    /// They are not waited for any longer.
    Over,
}

/// A phase, and when the pings began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunState {
    pub(crate) phase: Phase,
    pub(crate) start: Option<Instant>,
}

/// What the connections of a thread share.
pub(crate) struct Shared {
    pub(crate) plan: Arc<Plan>,
    state: Cell<RunState>,
    live: Cell<u64>,
    /// Tells that a connection ended.
    pub(crate) gone: Notify,
    work: RefCell<Work>,
}

/// What one connection uses at a time.
pub(crate) struct Work {
    pub(crate) input: Box<[u8]>,
    pub(crate) output: Vec<u8>,
    pub(crate) figures: Figures,
    pub(crate) counters: Arc<Counters>,
    /// Number of the first connection of this thread.
    first: u64,
    wakers: Vec<Option<Waker>>,
}

impl Work {
    /// Remembers how to wake a connection.
    pub(crate) fn register(&mut self, number: u64, waker: &Waker) {
        if let Some(known) = self.wakers.get_mut((number - self.first) as usize)
            && !known.as_ref().is_some_and(|known| known.will_wake(waker))
        {
            *known = Some(waker.clone());
        }
    }

    /// Wakes a connection, if it is one of this thread.
    pub(crate) fn wake(&self, number: u64) {
        let waker = number.checked_sub(self.first).and_then(|slot| self.wakers.get(slot as usize));
        if let Some(Some(waker)) = waker {
            waker.wake_by_ref();
        }
    }
}

impl Shared {
    /// For the connections with these numbers.
    ///
    /// # Errors
    /// When there can be no histogram, which its fixed bounds rule out.
    pub(crate) fn new(
        plan: Arc<Plan>,
        numbers: &Range<u64>,
        counters: Arc<Counters>,
    ) -> Result<Self, CreationError> {
        let work = Work {
            input: vec![0; INPUT].into(),
            output: Vec::new(),
            figures: Figures::new()?,
            counters,
            first: numbers.start,
            wakers: numbers.clone().map(|_| None).collect(),
        };
        Ok(Self {
            plan,
            state: Cell::new(RunState { phase: Phase::Opening, start: None }),
            live: Cell::new(0),
            gone: Notify::new(),
            work: RefCell::new(work),
        })
    }

    pub(crate) fn work(&self) -> RefMut<'_, Work> {
        self.work.borrow_mut()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.state.get().phase
    }

    /// Waits until no further ping is sent. The one who waits has to be woken by
    /// [`Self::enter`].
    pub(crate) async fn no_more_pings(&self) {
        poll_fn(|_| match self.phase() {
            Phase::Opening | Phase::Running => Poll::Pending,
            Phase::Draining | Phase::Closing | Phase::Over => Poll::Ready(()),
        })
        .await;
    }

    /// Nanoseconds since the pings began.
    pub(crate) fn now(&self) -> u64 {
        self.state.get().start.map_or(0, |start| nanos(start.elapsed()))
    }

    /// Nanoseconds that a reply may take.
    pub(crate) fn patience(&self) -> u64 {
        nanos(self.plan.patience)
    }

    /// Begins a phase.
    pub(crate) fn enter(&self, state: RunState) {
        self.state.set(state);
        self.work().wakers.iter().flatten().for_each(Waker::wake_by_ref);
    }

    pub(crate) fn joined(&self) {
        self.live.set(self.live.get() + 1);
    }

    pub(crate) fn left(&self) {
        self.live.set(self.live.get() - 1);
        self.gone.notify_one();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.live.get() == 0
    }
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(sources: &[&str], connections: u64, number: u64, target: &str) -> Option<String> {
        let sources: Vec<_> = sources.iter().map(|source| source.parse().unwrap()).collect();
        source(&sources, connections, number, target.parse().unwrap()).map(|s| s.to_string())
    }

    #[test]
    fn many_connections_to_loopback_come_from_several_addresses() {
        assert_eq!(from(&[], 20_000, 19_999, "127.0.0.1"), None);
        assert_eq!(from(&[], 70_000, 19_999, "127.0.0.1").unwrap(), "127.0.0.1");
        assert_eq!(from(&[], 70_000, 20_000, "127.0.0.1").unwrap(), "127.0.0.2");
        assert_eq!(from(&[], 70_000, 69_999, "127.0.0.9").unwrap(), "127.0.0.4");
        assert_eq!(from(&[], 70_000, 69_999, "192.0.2.1"), None);
        assert_eq!(from(&[], 70_000, 69_999, "::1"), None);
    }

    #[test]
    fn sources_take_turns() {
        let sources = ["192.0.2.1", "2001:db8::1", "192.0.2.2"];
        for (number, target, source) in [
            (0, "192.0.2.9", "192.0.2.1"),
            (1, "192.0.2.9", "192.0.2.2"),
            (2, "192.0.2.9", "192.0.2.1"),
            (1, "2001:db8::9", "2001:db8::1"),
        ] {
            assert_eq!(from(&sources, 3, number, target).unwrap(), source);
        }
        // It does not work, and then says why.
        assert_eq!(from(&["::1"], 3, 1, "127.0.0.1").unwrap(), "::1");
    }
}
