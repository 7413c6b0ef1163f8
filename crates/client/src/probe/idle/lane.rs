//! One connection: opens it, keeps up its traffic, and records what becomes of it.

use std::time::Duration;

use proto::escape;
use proto::frame::{Message, Opcode};
use proto::ping::{PING, Ping};
use proto::probe::{MAX_TIMES, MIN_EVERY, Request, Schedule};
use rustix::net::sockopt;
use tokio::select;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::super::link::Link;
use super::board::Board;
use super::kind::Kind;
use super::observed::{End, Observed};
use super::plan::{Lane, Plan};
use crate::net::Endpoint;
use crate::net::ending::Ending;
use crate::outage::seen::Seen;

/// Numbers of the messages to `/probe` begin here, so that they differ from those of a [`Link`].
const FIRST_NUMBER: u64 = 1 << 32;

/// Unanswered probes of TCP keepalive after which the kernel gives the connection up.
const KEEPALIVE_PROBES: u32 = 30;

/// What all connections of a probe share.
#[derive(Clone, Debug)]
pub(super) struct Way<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) plan: Plan,
    /// Longest wait for an answer.
    pub(super) patience: Duration,
    pub(super) board: &'a Board,
    /// How far the probe is.
    pub(super) stage: watch::Receiver<Stage>,
}

/// How far a probe is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Connections live as they are meant to.
    Watching,
    /// Those that are open ask for the last time.
    Asking,
    /// All are closed.
    Closing,
}

/// Opens a connection when it is due, and stays until its end. Returns its number on the board.
pub(super) async fn run(way: Way<'_>, lane: Lane) -> Option<usize> {
    let board = way.board;
    let mut stage = way.stage.clone();
    select! {
        () = sleep_until(board.at(lane.start)) => {}
        _ = stage.wait_for(|stage| *stage > Stage::Watching) => return None,
    }
    let patience = if way.plan.is_probe { way.patience } else { Duration::ZERO };
    let link = match Link::open(way.endpoint, patience).await {
        Ok(link) => link,
        Err(error) => {
            board.failed(error.to_string());
            return None;
        }
    };
    let opened = board.now().saturating_sub(age(&link));
    let mut observed = Observed::new(lane.kind, lane.rung, opened);
    observed.number = link.hello().map(|hello| (hello.connection.into(), hello.instance.into()));
    let number = board.add(observed);
    let mut open = Open { way, lane, number, link, sent: 0 };
    match open.live().await {
        Ok(()) => {
            let done = age(&open.link);
            board.update(number, |lane| lane.done = Some(done));
            // The server is asked first how it sees a connection that is dead.
            if board.lanes().get(number).is_some_and(|lane| lane.end.is_some()) {
                let _ = stage.wait_for(|stage| *stage == Stage::Closing).await;
            }
            open.link.close(&Ending::Stopped).await;
        }
        Err(ending) => open.ended(&ending, None),
    }
    Some(number)
}

/// The age of a connection.
fn age(link: &Link) -> Duration {
    link.activity().cut(Instant::now()).age
}

/// A connection that is open.
struct Open<'a> {
    way: Way<'a>,
    lane: Lane,
    /// Its number on the board.
    number: usize,
    link: Link,
    /// Frames sent by itself.
    sent: u64,
}

enum Event {
    Came(Message<'static>),
    SendDue,
    AskDue,
    Finish,
}

impl Open<'_> {
    /// Stays until the client is done with the connection, or the connection ends.
    async fn live(&mut self) -> Result<(), Ending> {
        let Way { plan, patience, .. } = self.way;
        timeout(patience, self.begin()).await.unwrap_or(Err(Ending::NoPong(patience)))?;
        let pause = match self.lane.kind {
            Kind::Silent | Kind::TcpKeepalive | Kind::ServerPing | Kind::ServerMessage => None,
            Kind::Busy => Some(plan.interval() / 5),
            Kind::ProtocolPing | Kind::Message | Kind::UnaskedPong => Some(plan.interval()),
        };
        let made = Instant::now() - age(&self.link);
        let silence = self.lane.rung.unwrap_or(plan.max);
        let ask = (self.lane.kind == Kind::Silent).then(|| made + silence);
        let mut due = pause.map(|pause| Instant::now() + pause);
        loop {
            match self.event(due, ask).await? {
                Event::Came(message) => self.came(&message),
                Event::SendDue => {
                    self.speak().await?;
                    due = pause.map(|pause| Instant::now() + pause);
                }
                Event::Finish if self.lane.kind == Kind::Silent => return Ok(()),
                Event::Finish | Event::AskDue => return self.ask().await,
            }
        }
    }

    async fn event(
        &mut self,
        send: Option<Instant>,
        ask: Option<Instant>,
    ) -> Result<Event, Ending> {
        select! {
            biased;
            message = self.link.receive() => message.map(Event::Came),
            () = at(ask) => Ok(Event::AskDue),
            _ = self.way.stage.wait_for(|stage| *stage > Stage::Watching) => Ok(Event::Finish),
            () = at(send) => Ok(Event::SendDue),
        }
    }

    /// Sets up traffic that goes on by itself.
    async fn begin(&mut self) -> Result<(), Ending> {
        let interval = self.way.plan.interval();
        let every = interval.as_secs_f64().max(MIN_EVERY);
        let schedule = Schedule { every, times: MAX_TIMES };
        match self.lane.kind {
            Kind::TcpKeepalive => self.keep_alive(interval).map_err(Ending::of_io),
            Kind::ServerPing => self.link.request(&Request::Pings(schedule)).await,
            Kind::ServerMessage => self.link.request(&Request::Push(schedule)).await,
            _ => Ok(()),
        }
    }

    /// The kernel counts in whole seconds.
    fn keep_alive(&self, interval: Duration) -> std::io::Result<()> {
        let Some(tcp) = self.link.stream().tcp() else { return Ok(()) };
        let interval = interval.max(Duration::from_secs(1));
        sockopt::set_tcp_keepidle(tcp, interval)?;
        sockopt::set_tcp_keepintvl(tcp, interval)?;
        sockopt::set_tcp_keepcnt(tcp, KEEPALIVE_PROBES)?;
        sockopt::set_socket_keepalive(tcp, true)?;
        Ok(())
    }

    fn came(&self, message: &Message<'_>) {
        let age = age(&self.link);
        let is_opening = age <= self.way.plan.interval();
        // Those may be answers.
        let is_asking = matches!(self.lane.kind, Kind::Message | Kind::Busy);
        self.way.board.update(self.number, |lane| {
            lane.heard = age;
            match message {
                Message::Ping(_) => lane.pings.came(age),
                Message::Text(_) | Message::Binary(_) if !(is_opening || is_asking) => {
                    lane.messages.came(age);
                }
                _ => {}
            }
        });
    }

    /// Sends what is due, unless the server has been silent for too long.
    async fn speak(&mut self) -> Result<(), Ending> {
        let patience = self.way.patience;
        let silent = self.link.activity().cut(Instant::now()).silent_received;
        if self.way.plan.answers && self.lane.kind.is_answered() && silent > patience {
            return Err(Ending::NoPong(patience));
        }
        self.sent += 1;
        timeout(patience, self.send_frames()).await.unwrap_or(Err(Ending::NoPong(patience)))
    }

    async fn send_frames(&mut self) -> Result<(), Ending> {
        let payload = self.sent.to_be_bytes();
        match self.lane.kind {
            Kind::ProtocolPing => self.link.send(Opcode::Ping, &payload).await,
            Kind::UnaskedPong => self.link.send(Opcode::Pong, &payload).await,
            Kind::Message => self.send_message().await,
            Kind::Busy => {
                self.link.send(Opcode::Ping, &payload).await?;
                if self.way.plan.takes_messages { self.send_message().await } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    async fn send_message(&mut self) -> Result<(), Ending> {
        let number = self.sent;
        match self.way.plan.is_probe {
            true => self.link.request(&Request::Ping(FIRST_NUMBER + number)).await,
            false => self.link.send(Opcode::Text, message().as_bytes()).await,
        }
    }

    /// Asks the server once, which shows whether the connection is more than open.
    async fn ask(&mut self) -> Result<(), Ending> {
        if !self.way.plan.answers {
            return Ok(());
        }
        let age = age(&self.link);
        let silent = self.link.activity().cut(Instant::now()).silent;
        match self.link.ping(self.way.patience).await {
            Ok(_) => self.way.board.update(self.number, |lane| {
                lane.heard = lane.heard.max(age);
                lane.answered = Some(silent);
            }),
            Err(ending) => self.ended(&ending, Some((age, silent))),
        }
        Ok(())
    }

    /// Records the end of the connection; of one that the client asked, with its age and silence
    /// then.
    fn ended(&self, ending: &Ending, asked: Option<(Duration, Duration)>) {
        let cut = self.link.activity().cut(Instant::now());
        let seen = Seen::of(ending).unwrap_or(Seen::Silence);
        // Without traffic of its own, it is the kernel that asked (TCP keepalive).
        let is_probed = seen == Seen::Silence && !self.lane.kind.is_answered();
        let (age, silent) = match asked {
            Some(asked) => asked,
            None if seen == Seen::Silence && !is_probed => {
                (cut.age.saturating_sub(cut.silent_received), cut.silent)
            }
            None => (cut.age, cut.silent),
        };
        let is_asked = asked.is_some() || is_probed;
        let said = match ending {
            Ending::Closed(Some(close)) => escape::plain(&close.reason).to_string(),
            _ => String::new(),
        };
        let reason = ending.to_string();
        let end = End { age, silent, seen, reason, said, is_asked };
        self.way.board.update(self.number, |lane| lane.end = Some(end));
    }
}

/// The message of a client to a server that does not speak `/probe`.
pub(super) fn message() -> String {
    Ping { client_name: "client idle".into(), message: PING.into() }.to_json()
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
