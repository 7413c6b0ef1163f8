//! The one loop over the frames of a connection, whatever its stream and its service.

mod deadline;
mod ending;
mod wire;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use proto::limits::WRITE_TIMEOUT;
use proto::ping::ERROR_PREFIX;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::select;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Utf8Bytes};

use crate::journal::{Recorder, Ticket};
use crate::service::Service;
use crate::stop::Stop;
use crate::throttle::{Throttle, warn_throttled};

use deadline::{Deadlines, Due};
use wire::Wire;

pub use ending::Ending;

/// Initial size of the read and the write buffer of a connection, in bytes.
const BUFFER: usize = 1024;

/// How much may wait to be written beside the replies to one message, in bytes.
const MAX_WRITE_BUFFER: usize = 64 * 1024;

/// Messages that are answered together.
const MAX_BURST: usize = 128;

/// Replies that may wait for their `REPLY_DELAY` before the connection is read on.
const MAX_DELAYED: usize = 1024;

/// What the connections of a worker share.
#[derive(Debug)]
pub struct Shared {
    /// Where pings are recorded.
    pub recorder: Recorder,
    /// Largest message in bytes (`MAX_MESSAGE`).
    pub max_message: usize,
    /// Time that each reply is held back (`REPLY_DELAY`).
    pub reply_delay: Duration,
    /// The end of the server.
    pub stop: Stop,
    /// Warnings about messages that a service cannot use.
    pub unusable: Throttle,
}

/// A connection after its upgrade.
#[derive(Debug)]
pub struct Connection<S> {
    socket: WebSocketStream<Wire<S>>,
    service: Service,
    peer: SocketAddr,
    shared: Rc<Shared>,
    deadlines: Deadlines,
    /// Replies to the messages at hand.
    replies: Vec<Reply>,
    /// Tells when the pings among them are recorded.
    ticket: Option<Ticket>,
    delayed: VecDeque<(Instant, Utf8Bytes)>,
}

#[derive(Debug)]
struct Reply {
    text: Utf8Bytes,
    /// It says that a ping is recorded.
    acknowledges: bool,
}

enum Event {
    Message(Option<Result<Message, Error>>),
    Timer,
    Stop,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A connection over a stream that has been upgraded; `early` are the bytes that arrived
    /// behind the request.
    pub async fn new(
        stream: S,
        early: Vec<u8>,
        service: Service,
        peer: SocketAddr,
        shared: Rc<Shared>,
    ) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_write_buffer_size(MAX_WRITE_BUFFER.max(2 * shared.max_message))
            .max_message_size(Some(shared.max_message))
            .max_frame_size(Some(shared.max_message));
        let wire = Wire::new(stream, &early);
        let socket =
            WebSocketStream::from_partially_read(wire, early, Role::Server, Some(config)).await;
        Self {
            socket,
            service,
            peer,
            shared,
            deadlines: Deadlines::new(Instant::now()),
            replies: Vec::new(),
            ticket: None,
            delayed: VecDeque::new(),
        }
    }

    /// Serves the peer to the end, which is told.
    pub async fn run(&mut self) -> Ending {
        let ending = self.converse().await;
        Box::pin(ending::part(&mut self.socket, &ending)).await;
        ending
    }

    /// What happens rarely is boxed here and below: its state would make every connection larger.
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
                event = self.next_message(set_to), if self.delayed.len() < MAX_DELAYED => event,
            };
            let now = Instant::now();
            let ending = match event {
                Event::Message(message) => self.converse_on(message, now).await,
                Event::Timer => Box::pin(self.on_timer(now)).await,
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
    async fn next_message(&mut self, set_to: Instant) -> Event {
        poll_fn(|cx| match self.socket.poll_next_unpin(cx) {
            Poll::Ready(message) => Poll::Ready(Event::Message(message)),
            Poll::Pending if self.next_timer() < set_to => Poll::Ready(Event::Timer),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Takes the message, and what has arrived behind it, and answers.
    async fn converse_on(
        &mut self,
        message: Option<Result<Message, Error>>,
        now: Instant,
    ) -> Option<Ending> {
        self.deadlines.heard(now);
        let ending = self.take(message, now).or_else(|| self.take_arrived(now));
        let failed = self.answer(now).await;
        ending.or(failed)
    }

    /// Takes the messages that have arrived as a whole, up to a limit. A Close frame behind them
    /// is left for later, since nothing can be answered after it.
    fn take_arrived(&mut self, now: Instant) -> Option<Ending> {
        while self.socket.get_ref().has_message()
            && self.replies.len() < MAX_BURST
            && !self.ticket.as_ref().is_some_and(Ticket::is_closed)
        {
            let message = self.socket.next().now_or_never()?;
            if let Some(ending) = self.take(message, now) {
                return Some(ending);
            }
        }
        None
    }

    fn take(&mut self, message: Option<Result<Message, Error>>, now: Instant) -> Option<Ending> {
        match message {
            Some(Ok(Message::Text(text))) => {
                self.socket.get_mut().message_taken();
                self.serve(&text);
                None
            }
            Some(Ok(Message::Binary(_))) => {
                self.socket.get_mut().message_taken();
                Some(Ending::Refused(
                    CloseCode::Unsupported,
                    "this service takes text frames".into(),
                ))
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                (!self.deadlines.control_frame(now))
                    .then(|| Ending::Refused(CloseCode::Policy, "too many control frames".into()))
            }
            Some(Ok(Message::Close(frame))) => {
                Some(Ending::Closed(frame.map(|frame| frame.code.into())))
            }
            Some(Err(error)) => Some(Ending::of(error)),
            None => Some(Ending::Closed(None)),
        }
    }

    fn serve(&mut self, text: &str) {
        let reply = match self.service.answer(text) {
            Ok(answer) => {
                let ticket = answer.record.map(|ping| self.shared.recorder.record(&ping));
                let acknowledges = ticket.is_some();
                self.ticket = ticket.or_else(|| self.ticket.take());
                Reply { text: answer.reply, acknowledges }
            }
            Err(expected) => {
                let peer = self.peer;
                warn_throttled!(self.shared.unusable, %peer, "unusable message: {}", proto::escape::plain(&expected));
                Reply { text: format!("{ERROR_PREFIX}{expected}").into(), acknowledges: false }
            }
        };
        self.replies.push(reply);
    }

    /// Waits until the pings at hand are recorded, then sends the replies in one write.
    async fn answer(&mut self, now: Instant) -> Option<Ending> {
        if let Some(ticket) = self.ticket.take()
            && let Err(cause) = ticket.await
        {
            let text =
                Utf8Bytes::from(format!("{ERROR_PREFIX}{cause}; this ping was not recorded"));
            for reply in self.replies.iter_mut().filter(|reply| reply.acknowledges) {
                reply.text = text.clone();
            }
        }
        if !self.shared.reply_delay.is_zero() {
            let due = now + self.shared.reply_delay;
            self.delayed.extend(self.replies.drain(..).map(|reply| (due, reply.text)));
            return None;
        }
        let mut replies = std::mem::take(&mut self.replies);
        let sent = self.send(replies.drain(..).map(|reply| Message::Text(reply.text))).await;
        self.replies = replies;
        sent
    }

    /// Sends messages; an ending means that this was not possible.
    async fn send(&mut self, messages: impl Iterator<Item = Message>) -> Option<Ending> {
        let socket = &mut self.socket;
        let mut sending = pin!(async {
            for message in messages {
                socket.feed(message).await?;
            }
            socket.flush().await
        });
        // As a rule it is done at once, and needs no timer.
        let sent = match sending.as_mut().now_or_never() {
            Some(sent) => sent,
            None => match Box::pin(timeout(WRITE_TIMEOUT, sending)).await {
                Ok(sent) => sent,
                Err(_) => return Some(Ending::NotReading),
            },
        };
        sent.err().map(Ending::of)
    }

    async fn on_timer(&mut self, now: Instant) -> Option<Ending> {
        let due = self.delayed.partition_point(|&(at, _)| at <= now);
        if due > 0 {
            return self.send_delayed(due).await;
        }
        match self.deadlines.due(now, self.socket.get_ref().pending())? {
            Due::Ping => {
                self.deadlines.pinged();
                self.send(std::iter::once(Message::Ping(Bytes::new()))).await
            }
            Due::Silent => {
                Some(Ending::Refused(CloseCode::Policy, "no sign of life for a minute".into()))
            }
            Due::Unfinished => Some(Ending::Refused(
                CloseCode::Policy,
                "the message was not finished in time".into(),
            )),
            Due::NotReading => Some(Ending::NotReading),
        }
    }

    async fn send_delayed(&mut self, count: usize) -> Option<Ending> {
        let due: Vec<_> =
            self.delayed.drain(..count).map(|(_, text)| Message::Text(text)).collect();
        self.send(due.into_iter()).await
    }

    /// Answers what has arrived, without further delay, before the server stops.
    async fn finish(&mut self, now: Instant) -> Ending {
        loop {
            let ending = self.take_arrived(now);
            let finished = self.replies.is_empty();
            let failed = self.answer(now).await;
            if let Some(ending) = ending.or(failed) {
                return ending;
            }
            if finished {
                break;
            }
        }
        let failed = self.send_delayed(self.delayed.len()).await;
        failed.unwrap_or(Ending::Stopping)
    }

    fn next_timer(&self) -> Instant {
        let next = self.deadlines.next(self.socket.get_ref().pending());
        self.delayed.front().map_or(next, |&(due, _)| next.min(due))
    }
}
