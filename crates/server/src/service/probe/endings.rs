//! The record of the connections of `/probe`: those that are open, and how the last others ended.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use proto::probe::{Ended, EndedBy};

use super::hello;
use crate::service::seconds;

/// Most ended connections that are remembered.
const MAX_ENDED: usize = 4096;

/// The connections of `/probe`, open and ended.
#[derive(Debug)]
pub(super) struct Endings {
    /// The random part of all names, so that no name is valid at another server or after a restart.
    run: String,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The number of the latest connection.
    last: u64,
    connections: HashMap<u64, Record>,
    /// The numbers of the ended connections, in the order of their ends.
    ended: VecDeque<u64>,
}

#[derive(Debug)]
enum Record {
    Open(Arc<Open>),
    Ended(End),
}

/// A connection that is open.
#[derive(Debug)]
struct Open {
    since: Instant,
    /// When the client was last heard, in milliseconds after `since`.
    heard: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct End {
    seen: ObservedEnd,
    by: Option<EndedBy>,
    age: Duration,
    silent: Duration,
    /// Unix time, in seconds.
    at: f64,
}

/// How a connection ended, as the server saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObservedEnd {
    /// A Close frame that began the closing handshake, with this code; 1005 if it had none (RFC 6455,
    /// section 7.1.5).
    Close(u16),
    /// The end of the stream without a Close frame.
    Fin,
    /// A TCP reset, or another error of the stream.
    Rst,
    /// No signal of the end: the client neither sent, nor read, nor acknowledged.
    Silence,
}

/// The handle to the record of an open connection. Dropped without [`Self::end`], the connection
/// is forgotten.
#[derive(Debug)]
pub struct Tracked {
    endings: Arc<Endings>,
    number: u64,
    open: Arc<Open>,
}

impl Default for Endings {
    fn default() -> Self {
        let random = RandomState::new().hash_one(0) as u32;
        Self { run: format!("{random:08x}"), known: Mutex::default() }
    }
}

impl Endings {
    /// The random part of all names.
    pub(super) fn run(&self) -> &str {
        &self.run
    }

    fn name(&self, number: u64) -> String {
        format!("{}-{number}", self.run)
    }

    /// Records a connection that opens.
    pub(super) fn open(this: &Arc<Self>, now: Instant) -> Tracked {
        let open = Arc::new(Open { since: now, heard: AtomicU64::new(0) });
        let mut known = this.known.lock();
        known.last += 1;
        let number = known.last;
        known.connections.insert(number, Record::Open(Arc::clone(&open)));
        drop(known);
        Tracked { endings: Arc::clone(this), number, open }
    }

    /// The state of the connection with this name, open or ended.
    pub(super) fn look_up<'a>(&self, name: &'a str, now: Instant) -> Ended<'a> {
        let number = name.rsplit_once('-').and_then(|(_, number)| number.parse().ok());
        let number = number.filter(|&number| self.name(number) == name);
        let known = self.known.lock();
        let record = number.and_then(|number| known.connections.get(&number));
        let (seen, by, age, silent, at) = match record {
            None => ("unknown".into(), None, None, None, None),
            Some(Record::Open(open)) => {
                ("open".into(), None, Some(open.age(now)), Some(open.silent(now)), None)
            }
            Some(Record::Ended(end)) => {
                (end.seen.text(), end.by, Some(end.age), Some(end.silent), Some(end.at))
            }
        };
        let [age, silent] = [age, silent].map(|time| time.map(seconds));
        Ended { ended: name.into(), seen, by, age, silent, at }
    }
}

impl Known {
    fn end(&mut self, number: u64, end: End) {
        self.connections.insert(number, Record::Ended(end));
        self.ended.push_back(number);
        if self.ended.len() > MAX_ENDED
            && let Some(oldest) = self.ended.pop_front()
        {
            self.connections.remove(&oldest);
        }
    }
}

impl Open {
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    fn silent(&self, now: Instant) -> Duration {
        let heard = Duration::from_millis(self.heard.load(Ordering::Relaxed));
        self.age(now).saturating_sub(heard)
    }
}

impl Tracked {
    /// The name of the connection.
    pub(super) fn name(&self) -> String {
        self.endings.name(self.number)
    }

    /// Notes that a frame of the client has arrived.
    pub fn heard(&self, now: Instant) {
        let heard = u64::try_from(self.open.age(now).as_millis()).unwrap_or(u64::MAX);
        self.open.heard.store(heard, Ordering::Relaxed);
    }

    /// Notes that the connection has ended, or its closing handshake has begun.
    pub fn end(&self, seen: ObservedEnd, by: Option<EndedBy>, now: Instant) {
        let (age, silent) = (self.open.age(now), self.open.silent(now));
        self.endings.known.lock().end(self.number, End { seen, by, age, silent, at: hello::now() });
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let mut known = self.endings.known.lock();
        if let Some(Record::Open(_)) = known.connections.get(&self.number) {
            known.connections.remove(&self.number);
        }
    }
}

impl ObservedEnd {
    fn text(self) -> Cow<'static, str> {
        match self {
            Self::Close(code) => format!("close-{code}").into(),
            Self::Fin => "fin".into(),
            Self::Rst => "rst".into(),
            Self::Silence => "silence".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn an_open_connection_has_an_age_and_a_silence_and_keeps_those_of_its_end() {
        let endings = Arc::new(Endings::default());
        let start = Instant::now();
        let tracked = Endings::open(&endings, start);
        tracked.heard(after(start, 3));
        let name = tracked.name();
        let told = endings.look_up(&name, after(start, 10));
        assert_eq!((&*told.ended, &*told.seen, told.by), (&*name, "open", None));
        assert_eq!((told.age, told.silent, told.at), (Some(10.0), Some(7.0), None));
        tracked.end(ObservedEnd::Close(1001), Some(EndedBy::Server), after(start, 20));
        drop(tracked);
        let told = endings.look_up(&name, after(start, 99));
        assert_eq!((&*told.seen, told.by), ("close-1001", Some(EndedBy::Server)));
        assert_eq!((told.age, told.silent), (Some(20.0), Some(17.0)));
        assert!(told.at.is_some());
    }

    #[test]
    fn a_name_that_this_server_did_not_give_is_unknown() {
        let (endings, other) = (Arc::new(Endings::default()), Arc::new(Endings::default()));
        let tracked = Endings::open(&endings, Instant::now());
        let strange = Endings::open(&other, Instant::now()).name();
        let [plus, zero] = ["-+1", "-01"].map(|number| tracked.name().replace("-1", number));
        for name in ["", "1", "-", "-1", &strange, &plus, &zero, &"9".repeat(99)] {
            let told = endings.look_up(name, Instant::now());
            assert_eq!((&*told.ended, &*told.seen, told.age), (name, "unknown", None));
        }
    }

    #[test]
    fn open_connections_and_the_last_ends_are_remembered() {
        let endings = Arc::new(Endings::default());
        let now = Instant::now();
        let open = Endings::open(&endings, now);
        let names: Vec<_> = (0..=MAX_ENDED)
            .map(|_| {
                let tracked = Endings::open(&endings, now);
                tracked.end(ObservedEnd::Fin, Some(EndedBy::Peer), now);
                tracked.name()
            })
            .collect();
        assert_eq!(endings.look_up(&names[0], now).seen, "unknown");
        assert!(names[1..].iter().all(|name| endings.look_up(name, now).seen == "fin"));
        assert_eq!(endings.look_up(&open.name(), now).seen, "open");
        let name = open.name();
        drop(open);
        assert_eq!(endings.look_up(&name, now).seen, "unknown");
        let known = endings.known.lock();
        assert_eq!((known.connections.len(), known.ended.len()), (MAX_ENDED, MAX_ENDED));
    }
}
