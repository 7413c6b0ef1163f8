//! The event loop of a worker: whose turn it is, and what a turn does. In one turn every
//! connection with something to read takes it, then all pings are written to the log at once,
//! then all replies leave.

mod arrival;
mod poller;
mod replies;
mod timers;

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slotmap::{KeyData, SlotMap, new_key_type};
use tokio::select;
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};
use tokio::task::yield_now;
use tokio::time::sleep_until;
use tracing::{error, info};

use crate::connection::{Connection, Shared, Stream, Turn};
use crate::http::Peer;
use crate::journal::{Commit, Journal, Recorder, Synced, Unrecorded};
use crate::metrics::OpenConnection;
use crate::stop::Stop;

use poller::{Events, Poller};
use replies::{Replies, Reply};
use timers::Timers;

pub use arrival::Arrival;

/// Bytes that are read from a connection in one turn.
const READ_BUFFER: usize = 16 * 1024;

/// Room for replies that is kept from turn to turn, in bytes.
const REPLIES: usize = 256 * 1024;

/// Turns that may follow each other before others of the thread are let in.
const TURNS: usize = 4;

/// Time after which none of them begins.
const TURNS_TIME: Duration = Duration::from_millis(1);

/// Events in a turn from which on another one is likely to find some more.
const BUSY: usize = 8;

/// A timer that is set to no time goes off after this, for nothing.
const LONG: Duration = Duration::from_secs(3600);

/// The connections of a worker, and what they share.
#[derive(Debug)]
pub struct EventLoop<C> {
    shared: Shared,
    poller: Rc<Poller>,
    connections: SlotMap<Key, Entry<C>>,
    timers: Timers<Key>,
    /// Those who want a turn of which no event will tell.
    eager: Vec<Key>,
    buffer: Box<[u8]>,
    recorder: Recorder,
    /// Told when the disk has come further.
    synced: Arc<Notify>,
    replies: Replies,
    /// Replies whose pings are written and wait for the disk, with the number of their write.
    unsynced: VecDeque<(u64, Replies)>,
    stopping: bool,
}

new_key_type! {
    /// Whom an event, a timer or a reply is for; nobody any more if that one has left.
    struct Key;
}

/// A connection and what goes with it.
#[derive(Debug)]
struct Entry<C> {
    connection: Box<Connection<dyn Stream>>,
    peer: Peer,
    /// The time in `timers` that is its own.
    timer: Option<Instant>,
    /// It stands in `eager`.
    is_eager: bool,
    /// None if it is this program looking after itself.
    open: Option<OpenConnection>,
    _permit: OwnedSemaphorePermit,
    _counted: C,
}

/// What the loop waits for.
enum Event<'a, C> {
    Stop,
    Arrival(Arrival<C>),
    Timer,
    Synced,
    Eager,
    Ready(io::Result<poller::Ready<'a>>),
}

impl<C> EventLoop<C> {
    /// A loop without connections yet.
    ///
    /// # Errors
    /// When the system is out of descriptors.
    pub fn new(shared: Shared, journal: &Journal) -> io::Result<Self> {
        let synced = Arc::new(Notify::new());
        let told = Arc::clone(&synced);
        Ok(Self {
            shared,
            poller: Rc::new(Poller::new()?),
            connections: SlotMap::with_key(),
            timers: Timers::new(),
            eager: Vec::new(),
            buffer: vec![0; READ_BUFFER].into(),
            recorder: journal.recorder(move || told.notify_one()),
            synced,
            replies: Replies::default(),
            unsynced: VecDeque::new(),
            stopping: false,
        })
    }

    /// Serves those who arrive. After the stop each is said goodbye to. It ends only when the
    /// system does not tell of events any more, and returns why.
    pub async fn run(
        mut self,
        mut arrivals: mpsc::Receiver<Arrival<C>>,
        mut stop: Stop,
    ) -> io::Error {
        let poller = Rc::clone(&self.poller);
        let mut events = Events::new();
        let synced = Arc::clone(&self.synced);
        let mut stop = pin!(stop.wait());
        let mut timer = pin!(sleep_until((Instant::now() + LONG).into()));
        loop {
            let event = select! {
                biased;
                () = &mut stop, if !self.stopping => Event::Stop,
                Some(arrival) = arrivals.recv() => Event::Arrival(arrival),
                () = &mut timer => Event::Timer,
                () = synced.notified(), if !self.unsynced.is_empty() => Event::Synced,
                ready = poller.ready() => Event::Ready(ready),
                () = yield_now(), if !self.eager.is_empty() => Event::Eager,
            };
            match event {
                Event::Stop => self.stop(),
                Event::Arrival(arrival) => self.admit(arrival),
                Event::Timer => self.look_at_timers(),
                Event::Synced => self.settle_synced(&self.recorder.synced()),
                Event::Eager => self.turn(&Events::default()),
                Event::Ready(ready) => {
                    let taken =
                        ready.and_then(|ready| self.take_turns(ready, &poller, &mut events));
                    if let Err(error) = taken {
                        return error;
                    }
                    if !events.are_all() {
                        // Others of the thread would have to wait until it can.
                        yield_now().await;
                    }
                }
            }
            let next = self.timers.next().unwrap_or_else(|| Instant::now() + LONG);
            if timer.is_elapsed() || next < timer.deadline().into_std() {
                timer.as_mut().reset(next.into());
            }
        }
    }

    /// Takes a turn, and more as long as there is much to do.
    fn take_turns(
        &mut self,
        mut ready: poller::Ready<'_>,
        poller: &Poller,
        events: &mut Events,
    ) -> io::Result<()> {
        let begun = Instant::now();
        for _ in 0..TURNS {
            poller.take(events)?;
            self.turn(events);
            if events.len() < BUSY || begun.elapsed() > TURNS_TIME {
                break;
            }
        }
        if events.are_all() {
            ready.clear();
        }
        Ok(())
    }

    fn turn(&mut self, events: &Events) {
        let now = self.begin();
        let mut eager = mem::take(&mut self.eager);
        for key in eager.drain(..) {
            self.visit(key, now, |entry, turn| {
                entry.is_eager = false;
                entry.connection.proceed(turn);
            });
        }
        if self.eager.is_empty() {
            self.eager = eager;
        }
        for (key, readiness) in events.iter() {
            let key = KeyData::from_ffi(key).into();
            self.visit(key, now, |entry, turn| entry.connection.on_event(readiness, turn));
        }
        self.commit(now);
    }

    /// The present of a turn that begins.
    fn begin(&self) -> Instant {
        let now = Instant::now();
        self.shared.counts.clients.set_now(now);
        now
    }

    /// Has a connection act in the present turn, and sees to what it needs then. One that panics
    /// takes itself down, and nobody else.
    fn visit(&mut self, key: Key, now: Instant, act: impl FnOnce(&mut Entry<C>, &mut Turn<'_>)) {
        let Some(entry) = self.connections.get_mut(key) else { return };
        let start = self.replies.frames.len();
        let recorded = self.recorder.count();
        let mut turn = Turn {
            now,
            shared: &self.shared,
            buffer: &mut self.buffer,
            recorder: &mut self.recorder,
            replies: &mut self.replies.frames,
        };
        if catch_unwind(AssertUnwindSafe(|| act(entry, &mut turn))).is_err() {
            error!(peer = %entry.peer, "a defect of this server ended the connection");
            self.replies.frames.truncate(start);
            self.remove(key);
            return;
        }
        let frames = start..self.replies.frames.len();
        if !frames.is_empty() {
            let pings = recorded..self.recorder.count();
            self.replies.to.push(Reply { key, frames, pings });
            if self.recorder.is_full() || self.replies.frames.len() >= REPLIES {
                self.commit(now);
            }
            return;
        }
        if let Some(ending) = entry.connection.ended() {
            if entry.open.is_some() {
                ending.cause().inspect(|&cause| self.shared.metrics.errors.count(cause));
                info!(peer = %entry.peer, "{ending}");
            }
            self.remove(key);
            return;
        }
        if entry.connection.wants_turn() && !mem::replace(&mut entry.is_eager, true) {
            self.eager.push(key);
        }
        if let Some(next) = entry.connection.next_timer()
            && entry.timer.is_none_or(|timer| next < timer)
        {
            self.timers.change(key, entry.timer.replace(next), Some(next));
        }
    }

    fn remove(&mut self, key: Key) {
        if let Some(entry) = self.connections.remove(key) {
            self.timers.change(key, entry.timer, None);
        }
    }

    /// Records the pings of the turn, and lets the replies leave.
    fn commit(&mut self, now: Instant) {
        if self.replies.to.is_empty() {
            return;
        }
        let replies = mem::take(&mut self.replies);
        let Commit { recorded, awaits, error } = self.recorder.commit();
        let (recorded, refused): (Vec<_>, Vec<_>) =
            replies.to.iter().partition(|reply| error.is_none() || reply.pings.end <= recorded);
        let (others, waiting): (Vec<_>, Vec<_>) =
            recorded.into_iter().partition(|reply| awaits.is_none() || reply.pings.is_empty());
        self.settle(others.into_iter(), &replies.frames, Ok(()), now);
        if let Some(number) = awaits {
            self.unsynced.push_back((number, replies.copy(&waiting)));
        }
        if let Some(cause) = &error {
            self.settle(refused.into_iter(), &replies.frames, Err(cause), now);
        }
        self.recycle(replies);
    }

    /// Settles what the disk holds by now.
    fn settle_synced(&mut self, synced: &Synced) {
        let now = self.begin();
        let is_settled =
            |&mut (number, _): &mut (u64, _)| number <= synced.number || synced.failed.is_some();
        while let Some((number, replies)) = self.unsynced.pop_front_if(is_settled) {
            let outcome = match &synced.failed {
                Some(cause) if number > synced.number => Err(cause),
                _ => Ok(()),
            };
            self.settle(replies.to.iter(), &replies.frames, outcome, now);
        }
    }

    fn settle<'a>(
        &mut self,
        replies: impl Iterator<Item = &'a Reply>,
        frames: &[u8],
        outcome: Result<(), &Unrecorded>,
        now: Instant,
    ) {
        for reply in replies {
            let frames = &frames[reply.frames.clone()];
            self.visit(reply.key, now, |entry, turn| {
                entry.connection.settle(frames, outcome, turn);
            });
        }
    }

    /// Keeps the room that replies took.
    fn recycle(&mut self, mut replies: Replies) {
        replies.frames.clear();
        replies.frames.shrink_to(REPLIES);
        replies.to.clear();
        self.replies = replies;
    }

    fn look_at_timers(&mut self) {
        let now = self.begin();
        while let Some(key) = self.timers.take_due(now) {
            self.visit(key, now, |entry, turn| {
                entry.timer = None;
                entry.connection.on_timer(turn);
            });
        }
    }

    fn stop(&mut self) {
        self.stopping = true;
        let now = self.begin();
        let all: Vec<_> = self.connections.keys().collect();
        for key in all {
            self.visit(key, now, |entry, turn| entry.connection.stop(turn));
        }
        self.commit(now);
    }
}
