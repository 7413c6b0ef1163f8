//! One connection: pings, their replies, and the end.

use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use proto::frame::CloseCode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::select;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::awaited::{Awaited, Received};
use super::reporter::Reporter;
use super::way::{Asking, Meaning, Unfit, Way};
use crate::net::closing;
use crate::net::ending::Ending;
use crate::outage::activity::Activity;
use crate::words::bytes;

/// How much longer than the lag the next ping waits for room on stdout. A reader that is merely
/// slow sets the pace; one that does not read at all loses lines.
const HELD_UP: Duration = Duration::from_secs(1);

/// What a reply to a Ping frame is called.
const PONG_FRAME: &str = "Pong frame";

/// What is sent, and when.
#[derive(Clone, Debug)]
pub struct Pings {
    /// The text of each ping.
    pub text: Utf8Bytes,
    /// Time between a reply and the next ping (`LAG_TIME`).
    pub lag: Duration,
    /// Time that a reply may take (`PONG_TIMEOUT`).
    pub patience: Duration,
}

/// A connection after its upgrade.
#[derive(Debug)]
pub struct Session<S> {
    socket: WebSocketStream<S>,
    pings: Pings,
    asking: Asking,
    activity: Activity,
    /// The ping that has no answer yet.
    awaited: Option<Awaited>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// A session over a stream that has been upgraded.
    pub fn new(socket: WebSocketStream<S>, pings: Pings, asking: Asking) -> Self {
        let activity = Activity::new(Instant::now());
        Self { socket, pings, asking, activity, awaited: None }
    }

    /// What is known of the server's answers.
    pub fn asking(&self) -> Asking {
        self.asking
    }

    /// When frames passed over the connection.
    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Pings until the connection ends, or the last ping has its reply. Whoever drops this future
    /// midway can still [`Self::part`].
    pub async fn run(&mut self, reporter: &mut Reporter) -> Ending {
        loop {
            if let Err(ending) = self.ping(reporter).await {
                return ending;
            }
            if reporter.is_complete() {
                return Ending::Stopped;
            }
            if let Err(ending) = self.rest(reporter).await {
                return ending;
            }
        }
    }

    /// Sends a ping and waits for its answer.
    async fn ping(&mut self, reporter: &mut Reporter) -> Result<(), Ending> {
        let awaited = Awaited::begin(self.asking, self.pings.patience);
        self.awaited = Some(awaited);
        let deadline = awaited.sent + self.pings.patience;
        self.send(match self.asking.way {
            Way::Message => Message::Text(self.pings.text.clone()),
            Way::Frame => awaited.frame(),
        })
        .await?;
        while let Some(awaited) = self.awaited {
            let until = awaited.trial_at.unwrap_or(deadline).min(deadline);
            let received = timeout_at(until, self.receive()).await;
            // A timeout that has passed is not seen while there is always a text to read.
            if Instant::now() >= deadline {
                return self.give_up(reporter);
            }
            if let Ok(received) = received {
                self.take(received?, reporter);
            }
            self.try_frame().await?;
        }
        Ok(())
    }

    async fn send(&mut self, message: Message) -> Result<(), Ending> {
        let patience = self.pings.patience;
        self.activity.asked(Instant::now());
        timeout(patience, self.socket.send(message))
            .await
            .map_err(|_| Ending::NoPong(patience))?
            .map_err(Ending::of)
    }

    /// Sends the Ping frame of the trial, if it is due.
    async fn try_frame(&mut self) -> Result<(), Ending> {
        match &mut self.awaited {
            Some(awaited) if awaited.trial_at.is_some_and(|at| at <= Instant::now()) => {
                awaited.trial_at = None;
                let frame = awaited.frame();
                self.send(frame).await
            }
            _ => Ok(()),
        }
    }

    /// The time for the reply is over.
    fn give_up(&mut self, reporter: &mut Reporter) -> Result<(), Ending> {
        match self.awaited {
            Some(Awaited { lives: true, has_other, .. }) if self.asking.way == Way::Message => {
                let unfit = if has_other { Unfit::OtherText } else { Unfit::Nothing };
                self.switch(unfit, reporter);
                Ok(())
            }
            _ => Err(Ending::NoPong(self.pings.patience)),
        }
    }

    /// Asks with Ping frames from now on. The message counts as never sent.
    fn switch(&mut self, unfit: Unfit, reporter: &mut Reporter) {
        self.awaited = None;
        self.asking = Asking { way: Way::Frame, is_certain: true };
        reporter.switched(unfit);
    }

    /// Reports what came: the answer to the ping that has none yet, or something unasked.
    fn take(&mut self, received: Received, reporter: &mut Reporter) {
        match received {
            Received::Text(text) => self.take_text(&text, reporter),
            Received::Binary(length) => reporter.unasked(&format!("binary, {}", bytes(length))),
            Received::Pong(payload) => self.take_pong(&payload, reporter),
        }
    }

    fn take_text(&mut self, text: &str, reporter: &mut Reporter) {
        let Some(awaited) = &mut self.awaited else { return reporter.unasked(text) };
        if self.asking.way == Way::Frame {
            return reporter.unasked(text);
        }
        match Meaning::of(text, &self.pings.text) {
            Meaning::Pong => {
                reporter.received(text, awaited.sent.elapsed());
                self.asking.is_certain = true;
                self.awaited = None;
            }
            Meaning::Error => {
                reporter.refused(text);
                self.awaited = None;
            }
            Meaning::Echo if !self.asking.is_certain => {
                reporter.unasked(text);
                self.switch(Unfit::Echo, reporter);
            }
            Meaning::Echo | Meaning::Other => {
                reporter.unasked(text);
                awaited.has_other = true;
                if awaited.lives {
                    self.switch(Unfit::OtherText, reporter);
                }
            }
        }
    }

    fn take_pong(&mut self, payload: &[u8], reporter: &mut Reporter) {
        let Some(awaited) = self.awaited.as_mut().filter(|awaited| awaited.payload == payload)
        else {
            return;
        };
        match self.asking.way {
            Way::Frame => {
                reporter.received(PONG_FRAME, awaited.sent.elapsed());
                self.awaited = None;
            }
            Way::Message if awaited.has_other => self.switch(Unfit::OtherText, reporter),
            Way::Message => awaited.lives = true,
        }
    }

    /// Lets the time between two pings pass, and waits for room on stdout. The socket is read
    /// meanwhile: protocol pings are answered, and the end of the connection is seen when it comes.
    async fn rest(&mut self, reporter: &mut Reporter) -> Result<(), Ending> {
        self.read_until(Instant::now() + self.pings.lag, reporter).await?;
        let output = reporter.output();
        let held_up = Instant::now() + HELD_UP;
        select! {
            biased;
            () = output.room() => Ok(()),
            read = self.read_until(held_up, reporter) => read,
        }
    }

    /// Reads the socket up to this time, and what is there already in any case.
    async fn read_until(&mut self, until: Instant, reporter: &mut Reporter) -> Result<(), Ending> {
        loop {
            let next = self.receive();
            // A timer takes a millisecond, however short its time is.
            let received = if until <= Instant::now() {
                next.now_or_never()
            } else {
                timeout_at(until, next).await.ok()
            };
            let Some(received) = received else { return Ok(()) };
            self.take(received?, reporter);
            // Whatever else is there to read has time until after the next ping.
            if until <= Instant::now() {
                return Ok(());
            }
        }
    }

    /// Waits for something to take.
    async fn receive(&mut self) -> Result<Received, Ending> {
        loop {
            let message = match self.socket.next().await {
                Some(Ok(Message::Close(frame))) => return Err(Ending::closed_by(frame)),
                Some(Ok(message)) => message,
                Some(Err(error)) => return Err(Ending::of(error)),
                None => return Err(Ending::Lost(None)),
            };
            self.activity.received(Instant::now());
            match message {
                Message::Text(text) => return Ok(Received::Text(text)),
                Message::Pong(payload) => return Ok(Received::Pong(payload)),
                Message::Binary(_) if self.speaks_ours() => {
                    let reason = "the client takes text frames".into();
                    return Err(Ending::Refused(CloseCode::UNSUPPORTED, reason));
                }
                Message::Binary(payload) => return Ok(Received::Binary(payload.len())),
                // tungstenite answers.
                Message::Ping(_) => self.activity.replied(Instant::now()),
                Message::Close(_) | Message::Frame(_) => {}
            }
        }
    }

    /// Whether the server is known to answer the message of this project, which has no binary
    /// frames.
    fn speaks_ours(&self) -> bool {
        self.asking == Asking { way: Way::Message, is_certain: true }
    }

    /// Closes the connection as the ending asks for; takes
    /// [`CLOSE_TIMEOUT`](proto::limits::CLOSE_TIMEOUT) at most. A ping that has no answer is lost,
    /// except where the client itself stops: then the answer is taken if it still comes, and
    /// otherwise the ping counts as never sent. Returns whether there is such a ping.
    pub async fn part(mut self, ending: &Ending, reporter: &mut Reporter) -> bool {
        let stopped = matches!(ending, Ending::Stopped);
        if self.awaited.is_some() && !stopped {
            self.awaited = None;
            reporter.lost_ping();
        }
        let Self { socket, asking, pings, mut awaited, .. } = self;
        let late = async |message| {
            let Some(Awaited { sent, payload, .. }) = awaited else { return };
            let text = match (asking.way, message) {
                (Way::Message, Message::Text(text))
                    if Meaning::of(&text, &pings.text) == Meaning::Pong =>
                {
                    text
                }
                (Way::Frame, Message::Pong(pong)) if *pong == payload => PONG_FRAME.into(),
                _ => return,
            };
            awaited = None;
            reporter.received(&text, sent.elapsed());
        };
        closing::close(socket, ending, late).await;
        awaited.is_some()
    }
}

#[cfg(test)]
mod tests;
