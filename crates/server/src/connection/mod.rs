//! The one loop over the frames of a connection, whatever its stream and its service.

mod deadline;
mod ending;
mod session;
mod socket;
mod stream;
mod wire;

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use proto::ping::ERROR_PREFIX;
use tokio::select;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error};

use crate::http::Peer;
use crate::journal::Recorder;
use crate::metrics::{self, Cause, Metrics, WorkerMetrics};
use crate::service::{self, Answer, Reply, Service, Unusable};
use crate::stop::Stop;
use crate::throttle::{Throttle, warn_throttled};

use deadline::{Deadlines, Due};
use session::{MAX_WAITING, Session, State};
use socket::Socket;

pub use ending::{Ending, Refusal};
pub use stream::Stream;

/// Initial size of the read buffer of a connection, in bytes, and the size at which its write
/// buffer is written before a flush.
const BUFFER: usize = 1024;

/// How much may wait to be written beside the replies, in bytes.
const MAX_WRITE_BUFFER: usize = 64 * 1024;

/// What the connections of a worker share.
#[derive(Debug)]
pub struct Shared {
    /// Where pings are recorded.
    pub recorder: Recorder,
    /// Largest message in bytes (`MAX_MESSAGE`).
    pub max_message: usize,
    /// Time that each reply is held back (`REPLY_DELAY`).
    pub reply_delay: Duration,
    /// What the services remember.
    pub services: Arc<service::State>,
    /// What the server counts.
    pub metrics: Arc<Metrics>,
    /// What this worker counts.
    pub counts: Arc<WorkerMetrics>,
    /// The end of the server.
    pub stop: Stop,
    /// Warnings about messages that a service cannot use.
    pub unusable: Arc<Throttle>,
}

/// A connection after its upgrade.
#[derive(Debug)]
pub struct Connection<S> {
    session: Rc<Session<S>>,
    service: Service,
    peer: Peer,
    shared: Rc<Shared>,
    deadlines: Deadlines,
    /// Who sent the last ping.
    client: Option<Arc<metrics::Client>>,
}

enum Event {
    Message(Result<Message, Error>),
    Timer,
    Stop,
}

impl<S: Stream + 'static> Connection<S> {
    /// A connection over a stream that has been upgraded; `early` are the bytes that arrived
    /// behind the request.
    #[must_use]
    pub fn new(
        stream: S,
        early: Vec<u8>,
        service: Service,
        peer: Peer,
        shared: Rc<Shared>,
    ) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_write_buffer_size(MAX_WRITE_BUFFER + MAX_WAITING + 2 * shared.max_message)
            .max_message_size(Some(shared.max_message))
            .max_frame_size(Some(shared.max_message));
        let socket = Socket::new(stream, early, config, Arc::clone(&shared.counts));
        let session = Rc::new(Session::new(socket, shared.reply_delay));
        let deadlines = Deadlines::new(Instant::now());
        Self { session, service, peer, shared, deadlines, client: None }
    }

    /// Serves the peer to the end, which is told.
    pub async fn run(&mut self) -> Ending {
        let ending = self.converse().await;
        // What happens rarely is boxed: its state would make every connection larger.
        Box::pin(ending::part(&self.session, &ending)).await;
        ending
    }

    async fn converse(&mut self) -> Ending {
        let mut stop = self.shared.stop.clone();
        let mut stop = pin!(stop.wait());
        let mut timer = pin!(sleep_until(self.next_timer()));
        loop {
            let set_to = timer.deadline();
            // The socket comes last: a peer that always has something to say would keep the
            // others from ever being looked at.
            let event = select! {
                biased;
                () = &mut stop => Event::Stop,
                () = &mut timer => Event::Timer,
                event = self.next_message(set_to) => event,
            };
            let now = Instant::now();
            let ending = match event {
                Event::Message(message) => {
                    self.deadlines.heard(now);
                    self.take_all(message, now)
                }
                Event::Timer => self.on_timer(now),
                Event::Stop => Some(Box::pin(self.finish(now)).await),
            };
            if let Some(ending) = ending {
                return ending;
            }
            let next = self.next_timer();
            if timer.is_elapsed() || next < timer.deadline() {
                timer.as_mut().reset(next);
            }
        }
    }

    /// The next message, or a sign that the timer, which is set to `set_to`, is due earlier: a
    /// message that has begun, or a write that is stuck, brings no event of its own.
    async fn next_message(&self, set_to: Instant) -> Event {
        poll_fn(|cx| {
            let polled = self.session.state().poll_next(cx);
            match polled {
                Poll::Ready(message) => Poll::Ready(Event::Message(message)),
                Poll::Pending if self.next_timer() < set_to => Poll::Ready(Event::Timer),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Takes the message and what has arrived behind it, up to a limit, and sees to the replies.
    /// A Close frame behind them is left for later, since nothing can be answered after it.
    fn take_all(&mut self, message: Result<Message, Error>, now: Instant) -> Option<Ending> {
        let session = Rc::clone(&self.session);
        let mut state = session.state();
        let mut ending = self.take(&mut state, message, now);
        while ending.is_none() && state.has_room() && !self.shared.recorder.is_full() {
            let Some(message) = state.socket.next_arrived() else { break };
            ending = self.take(&mut state, message, now);
        }
        drop(state);
        self.answer();
        ending
    }

    fn take(
        &mut self,
        state: &mut State<S>,
        message: Result<Message, Error>,
        now: Instant,
    ) -> Option<Ending> {
        match message {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                state.socket.wire_mut().message_taken();
                self.serve(state, &message, now)
            }
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {
                state.socket.wire_mut().control_taken();
                let allowed = self.deadlines.control_frame(now);
                (!allowed).then_some(Ending::Refused(Refusal::ControlFlood))
            }
            Ok(Message::Close(frame)) => Some(Ending::Closed(frame.map(|frame| frame.code.into()))),
            Err(error) => Some(Ending::of(error)),
        }
    }

    fn serve(&mut self, state: &mut State<S>, message: &Message, now: Instant) -> Option<Ending> {
        let counts = &self.shared.counts;
        counts.of(self.service).messages.add(1);
        match self.service.answer(message, &self.shared.services) {
            Ok(Answer { reply, record }) => {
                if let Some(ping) = &record {
                    self.shared.recorder.record(ping);
                    counts.clients.pinged(&mut self.client, &ping.client_name, now.into());
                }
                state.reply(reply, record.is_some());
            }
            Err(Unusable::Text(expected)) => {
                let peer = self.peer;
                self.shared.metrics.errors.count(Cause::Unusable);
                let shown = proto::escape::plain(&expected);
                warn_throttled!(self.shared.unusable, %peer, "unusable message: {shown}");
                state.reply(Reply::text(format!("{ERROR_PREFIX}{expected}")), false);
            }
            Err(Unusable::Binary) => return Some(Ending::Refused(Refusal::Binary)),
        }
        None
    }

    /// Has the messages at hand answered: by the recorder once their pings are recorded, at once
    /// if there are none among them.
    fn answer(&self) {
        let mut state = self.session.state();
        if state.is_recording() {
            drop(state);
            self.shared.recorder.tell(Rc::clone(&self.session) as _);
        } else if !state.is_answered() {
            state.queue_replies();
            state.flush_replies();
        }
    }

    fn on_timer(&mut self, now: Instant) -> Option<Ending> {
        let mut state = self.session.state();
        if state.next_delayed().is_some_and(|due| due <= now) {
            return state.send_delayed(Some(now)).err().map(Ending::of);
        }
        match self.deadlines.due(now, state.pending())? {
            Due::Ping => {
                self.deadlines.pinged(now);
                state.send(Message::Ping(Bytes::new())).err().map(Ending::of)
            }
            // What it says lies unread.
            Due::Silent if state.is_paused() => {
                self.deadlines.heard(now);
                None
            }
            Due::Silent => Some(Ending::Refused(Refusal::Silent)),
            Due::Unfinished => Some(Ending::Refused(Refusal::Unfinished)),
            Due::NotReading => Some(Ending::NotReading),
        }
    }

    /// Answers what has arrived, without further delay, before the server stops.
    async fn finish(&mut self, now: Instant) -> Ending {
        loop {
            poll_fn(|cx| self.session.state().poll_answered(cx)).await;
            let Some(message) = self.session.state().socket.next_arrived() else { break };
            if let Some(ending) = self.take_all(message, now) {
                return ending;
            }
        }
        let sent = self.session.state().send_delayed(None);
        sent.err().map_or(Ending::Stopping, Ending::of)
    }

    fn next_timer(&self) -> Instant {
        let state = self.session.state();
        let next = self.deadlines.next(state.pending());
        state.next_delayed().map_or(next, |due| next.min(due))
    }
}
