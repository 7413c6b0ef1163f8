//! One connection: pings, their replies, and the end.

use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use proto::frame::CloseCode;
use proto::probe::{Hello, MAX_INSTANCE, Pong};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::select;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::awaited::{Awaited, Received};
use super::delays::Timed;
use super::kind::{Choice, Kind, Meaning, Unfit};
use super::reporter::Reporter;
use crate::format::bytes;
use crate::net::closing;
use crate::net::ending::Ending;
use crate::outage::activity::Activity;

/// Longest wait for room on stdout before the next ping, in addition to the lag. A slow reader
/// slows the pings down; a blocked reader loses lines.
const STALL: Duration = Duration::from_secs(1);

/// Printed text of a reply to a Ping frame.
const PONG_FRAME: &str = "Pong frame";

/// The pings to send.
#[derive(Clone, Debug)]
pub struct Pings {
    /// The text of each ping.
    pub text: Utf8Bytes,
    /// Time between a reply and the next ping (`LAG_TIME`).
    pub lag: Duration,
    /// Time that a reply may take (`PONG_TIMEOUT`).
    pub pong_timeout: Duration,
    /// Whether the pings go to `/probe`, where the server begins with a [`Hello`].
    pub is_probe: bool,
}

/// A connection after its upgrade.
#[derive(Debug)]
pub struct Session<S> {
    socket: WebSocketStream<S>,
    pings: Pings,
    choice: Choice,
    activity: Activity,
    /// The ping in flight.
    awaited: Option<Awaited>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// A session over an upgraded stream.
    pub fn new(socket: WebSocketStream<S>, pings: Pings, choice: Choice) -> Self {
        let activity = Activity::new(Instant::now());
        Self { socket, pings, choice, activity, awaited: None }
    }

    /// The kind of pings, and whether the choice is final.
    pub fn choice(&self) -> Choice {
        self.choice
    }

    /// Times of the last frames over the connection.
    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Pings until the connection ends, or the last ping of the run has its reply
    /// ([`Ending::Stopped`]). After dropping this future early, a caller can still call
    /// [`Self::close`].
    pub async fn run(&mut self, reporter: &mut Reporter) -> Ending {
        loop {
            if let Err(ending) = self.ping(reporter).await {
                return ending;
            }
            if reporter.is_complete() {
                return Ending::Stopped;
            }
            if let Err(ending) = self.wait_lag(reporter).await {
                return ending;
            }
        }
    }

    /// Sends a ping and waits for its answer.
    async fn ping(&mut self, reporter: &mut Reporter) -> Result<(), Ending> {
        let awaited = Awaited::begin(self.choice, self.pings.pong_timeout);
        self.awaited = Some(awaited);
        let deadline = awaited.sent + self.pings.pong_timeout;
        self.send(match self.choice.kind {
            Kind::Message => Message::Text(self.pings.text.clone()),
            Kind::Probe => Message::text(awaited.request()),
            Kind::Frame => awaited.frame(),
        })
        .await?;
        while let Some(awaited) = self.awaited {
            let until = awaited.ping_frame_at.unwrap_or(deadline).min(deadline);
            let received = timeout_at(until, self.receive()).await;
            // `timeout_at` does not fire while a frame is always ready to read, hence this check.
            if Instant::now() >= deadline {
                return self.give_up(reporter);
            }
            if let Ok(received) = received {
                self.take(received?, reporter);
            }
            self.send_ping_frame().await?;
        }
        Ok(())
    }

    async fn send(&mut self, message: Message) -> Result<(), Ending> {
        let pong_timeout = self.pings.pong_timeout;
        self.activity.asked(Instant::now());
        timeout(pong_timeout, self.socket.send(message))
            .await
            .map_err(|_| Ending::NoPong(pong_timeout))?
            .map_err(Ending::of)
    }

    /// Sends the additional Ping frame, if it is due.
    async fn send_ping_frame(&mut self) -> Result<(), Ending> {
        match &mut self.awaited {
            Some(awaited) if awaited.ping_frame_at.is_some_and(|at| at <= Instant::now()) => {
                awaited.ping_frame_at = None;
                let frame = awaited.frame();
                self.send(frame).await
            }
            _ => Ok(()),
        }
    }

    /// Handles a reply that is overdue.
    fn give_up(&mut self, reporter: &mut Reporter) -> Result<(), Ending> {
        match self.awaited {
            Some(Awaited { answered_ping_frame: true, has_other, .. })
                if self.choice.kind != Kind::Frame =>
            {
                let unfit = if has_other { Unfit::OtherText } else { Unfit::Nothing };
                self.switch(unfit, reporter);
                Ok(())
            }
            _ => Err(Ending::NoPong(self.pings.pong_timeout)),
        }
    }

    /// Switches to Ping frames. The message in flight counts as never sent.
    fn switch(&mut self, unfit: Unfit, reporter: &mut Reporter) {
        self.awaited = None;
        reporter.switched(unfit.explain(self.choice.kind));
        self.choice = Choice { kind: Kind::Frame, is_settled: true };
    }

    /// Reports a received frame: the answer to the ping in flight, or an unsolicited text.
    fn take(&mut self, received: Received, reporter: &mut Reporter) {
        match received {
            Received::Text(text) => self.take_text(&text, reporter),
            Received::Binary(length) => reporter.unsolicited(&format!("binary, {}", bytes(length))),
            Received::Pong(payload) => self.take_pong(&payload, reporter),
        }
    }

    fn take_text(&mut self, text: &str, reporter: &mut Reporter) {
        if self.pings.is_probe
            && let Ok(Hello { instance, .. }) = serde_json::from_str(text)
        {
            return reporter.identified(&instance[..instance.floor_char_boundary(MAX_INSTANCE)]);
        }
        let Some(awaited) = &mut self.awaited else { return reporter.unsolicited(text) };
        if self.choice.kind == Kind::Frame {
            return reporter.unsolicited(text);
        }
        match meaning(text, self.choice.kind, awaited, &self.pings) {
            Meaning::Pong => {
                reporter.received(text, awaited.sent.elapsed());
                self.choice.is_settled = true;
                self.awaited = None;
            }
            Meaning::TimedPong(pong) => {
                report_timed(awaited, pong, reporter);
                self.choice.is_settled = true;
                self.awaited = None;
            }
            Meaning::Error => {
                reporter.refused(text);
                self.awaited = None;
            }
            Meaning::Echo if !self.choice.is_settled => {
                reporter.unsolicited(text);
                self.switch(Unfit::Echo, reporter);
            }
            Meaning::Echo | Meaning::Other => {
                reporter.unsolicited(text);
                awaited.has_other = true;
                if awaited.answered_ping_frame {
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
        match self.choice.kind {
            Kind::Frame => {
                reporter.received(PONG_FRAME, awaited.sent.elapsed());
                self.awaited = None;
            }
            Kind::Message | Kind::Probe if awaited.has_other => {
                self.switch(Unfit::OtherText, reporter);
            }
            Kind::Message | Kind::Probe => awaited.answered_ping_frame = true,
        }
    }

    /// Waits for the lag between two pings, and for room on stdout. Reads the socket meanwhile, so
    /// that Ping frames are answered and the end of the connection is detected at once.
    async fn wait_lag(&mut self, reporter: &mut Reporter) -> Result<(), Ending> {
        self.read_until(Instant::now() + self.pings.lag, reporter).await?;
        let output = reporter.output();
        let held_up = Instant::now() + STALL;
        select! {
            biased;
            () = output.room() => Ok(()),
            read = self.read_until(held_up, reporter) => read,
        }
    }

    /// Reads the socket until `until`. After that time, still takes one frame that is already
    /// received.
    async fn read_until(&mut self, until: Instant, reporter: &mut Reporter) -> Result<(), Ending> {
        loop {
            let next = self.receive();
            // A tokio timer takes at least a millisecond.
            let received = if until <= Instant::now() {
                next.now_or_never()
            } else {
                timeout_at(until, next).await.ok()
            };
            let Some(received) = received else { return Ok(()) };
            self.take(received?, reporter);
            // Further frames are read after the next ping.
            if until <= Instant::now() {
                return Ok(());
            }
        }
    }

    /// Waits for the next data or Pong frame.
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
                Message::Binary(_) if self.answers_messages() => {
                    let reason = "the client takes text frames".into();
                    return Err(Ending::Refused(CloseCode::UNSUPPORTED, reason));
                }
                Message::Binary(payload) => return Ok(Received::Binary(payload.len())),
                // tungstenite answers Ping frames.
                Message::Ping(_) => self.activity.replied(Instant::now()),
                Message::Close(_) | Message::Frame(_) => {}
            }
        }
    }

    /// Whether the server is known to answer the message of this project, which has no binary
    /// frames.
    fn answers_messages(&self) -> bool {
        self.choice.is_settled && self.choice.kind != Kind::Frame
    }

    /// Closes the connection in the way that `ending` requires, within
    /// [`CLOSE_TIMEOUT`](proto::limits::CLOSE_TIMEOUT). A ping in flight is lost; where the client
    /// itself stops, an answer that comes meanwhile still counts.
    pub async fn close(mut self, ending: &Ending, reporter: &mut Reporter) {
        let stopped = matches!(ending, Ending::Stopped);
        if self.awaited.is_some() && !stopped {
            self.awaited = None;
            reporter.lost_ping();
        }
        let Self { socket, choice, pings, mut awaited, .. } = self;
        let late = async |message| {
            let Some(ping) = awaited else { return };
            let time = ping.sent.elapsed();
            match (choice.kind, message) {
                (Kind::Frame, Message::Pong(pong)) if *pong == ping.payload => {
                    reporter.received(PONG_FRAME, time);
                }
                (Kind::Message | Kind::Probe, Message::Text(text)) => {
                    match meaning(&text, choice.kind, &ping, &pings) {
                        Meaning::Pong => reporter.received(&text, time),
                        Meaning::TimedPong(pong) => report_timed(&ping, pong, reporter),
                        _ => return,
                    }
                }
                _ => return,
            }
            awaited = None;
        };
        closing::close(socket, ending, late).await;
        if awaited.is_some() {
            reporter.lost_ping();
        }
    }
}

/// The meaning of a text while a ping of this kind waits for its answer.
fn meaning(text: &str, kind: Kind, awaited: &Awaited, pings: &Pings) -> Meaning {
    match kind {
        Kind::Probe => Meaning::of_probe(text, &awaited.request(), awaited.number()),
        Kind::Message | Kind::Frame => Meaning::of(text, &pings.text),
    }
}

/// Reports a reply of `/probe`, which has the times of the server.
fn report_timed(awaited: &Awaited, Pong { arrived, left, .. }: Pong, reporter: &mut Reporter) {
    reporter.received_timed(Timed { sent: awaited.sent, received: Instant::now(), arrived, left });
}

#[cfg(test)]
mod tests;
