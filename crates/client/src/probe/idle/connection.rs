//! One connection: opens it, sends its traffic, and records what comes and how it ends.

use std::time::Duration;

use proto::escape;
use proto::frame::{Message, Opcode};
use proto::ping::{PING, Ping};
use proto::probe::{MAX_TIMES, MIN_EVERY, Request, Schedule};
use rustix::net::sockopt;
use tokio::select;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::super::link::{Link, within};
use super::kind::Kind;
use super::observations::Observations;
use super::observed::{End, Observed};
use super::plan::{Plan, PlannedConnection};
use crate::net::Endpoint;
use crate::net::ending::Ending;
use crate::outage::observed_end::ObservedEnd;

/// Number of the first message to `/probe`: far from the numbers that a [`Link`] uses.
const FIRST_NUMBER: u64 = 1 << 32;

/// Unanswered probes of TCP keepalive after which the kernel ends the connection.
const KEEPALIVE_PROBES: u32 = 30;

/// The state that all connections of a probe share.
#[derive(Clone, Debug)]
pub(super) struct Shared<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) plan: Plan,
    /// Longest wait for an answer.
    pub(super) patience: Duration,
    pub(super) observations: &'a Observations,
    /// The stage of the probe.
    pub(super) stage: watch::Receiver<Stage>,
}

/// A stage of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Connections are open, each with its traffic.
    Watching,
    /// Open connections with traffic ask once more.
    Asking,
    /// All connections are closed.
    Closing,
}

/// Opens a connection when it is due, and runs it to its end. Returns its index in the observations.
pub(super) async fn run(shared: Shared<'_>, connection: PlannedConnection) -> Option<usize> {
    let observations = shared.observations;
    let mut stage = shared.stage.clone();
    select! {
        () = sleep_until(observations.at(connection.start)) => {}
        _ = stage.wait_for(|stage| *stage > Stage::Watching) => return None,
    }
    let patience = if shared.plan.is_probe { shared.patience } else { Duration::ZERO };
    let link = match Link::open(shared.endpoint, patience).await {
        Ok(link) => link,
        Err(error) => {
            observations.failed(error.to_string());
            return None;
        }
    };
    let opened = observations.now().saturating_sub(age(&link));
    let mut observed = Observed::new(connection.kind, connection.asks_after, opened);
    observed.number = link.hello().map(|hello| (hello.connection.into(), hello.instance.into()));
    let index = observations.add(observed);
    let mut open = Open { shared, connection, index, link, sent: 0 };
    match open.run().await {
        Ok(()) => {
            let done = age(&open.link);
            observations.update(index, |observed| observed.done = Some(done));
            // A dead connection stays open until the server was asked how it sees the connection.
            if observations.connections().get(index).is_some_and(|observed| observed.end.is_some())
            {
                let _ = stage.wait_for(|stage| *stage == Stage::Closing).await;
            }
            open.link.close(&Ending::Stopped).await;
        }
        Err(ending) => open.ended(&ending, None),
    }
    Some(index)
}

/// The age of a connection.
fn age(link: &Link) -> Duration {
    link.activity().cut(Instant::now()).age
}

/// An open connection.
struct Open<'a> {
    shared: Shared<'a>,
    connection: PlannedConnection,
    /// The index in the observations.
    index: usize,
    link: Link,
    /// Number of times that traffic was sent.
    sent: u64,
}

impl Open<'_> {
    /// Runs until the client is done with the connection, or the connection ends.
    async fn run(&mut self) -> Result<(), Ending> {
        let Shared { plan, patience, .. } = self.shared;
        within(patience, self.begin()).await?;
        let pause = match self.connection.kind {
            Kind::Silent | Kind::TcpKeepalive | Kind::ServerPing | Kind::ServerMessage => None,
            Kind::Busy => Some(plan.interval() / 5),
            Kind::ProtocolPing | Kind::Message | Kind::UnaskedPong => Some(plan.interval()),
        };
        let made = Instant::now() - age(&self.link);
        let silence = self.connection.asks_after.unwrap_or(plan.max);
        let is_silent = self.connection.kind == Kind::Silent;
        let mut ask = is_silent.then(|| made + silence);
        let mut due = pause.map(|pause| Instant::now() + pause);
        let mut stage = self.shared.stage.clone();
        loop {
            select! {
                biased;
                message = self.link.receive() => {
                    let is_greeting = self.received(&message?);
                    let start = if is_greeting { Instant::now() } else { made };
                    ask = is_silent.then(|| start + silence);
                }
                () = at(ask) => return self.ask().await,
                () = watched(&mut stage) => {
                    return if is_silent { Ok(()) } else { self.ask().await };
                }
                () = at(due) => {
                    self.send_traffic().await?;
                    due = pause.map(|pause| Instant::now() + pause);
                }
            }
        }
    }

    /// Sets up traffic that the kernel or the server sends.
    async fn begin(&mut self) -> Result<(), Ending> {
        let interval = self.shared.plan.interval();
        let every = interval.as_secs_f64().max(MIN_EVERY);
        let schedule = Schedule { every, times: MAX_TIMES };
        match self.connection.kind {
            Kind::TcpKeepalive => self.keep_alive(interval).map_err(Ending::of_io),
            Kind::ServerPing => self.link.request(&Request::Pings(schedule)).await,
            Kind::ServerMessage => self.link.request(&Request::Push(schedule)).await,
            _ => Ok(()),
        }
    }

    /// Turns TCP keepalive on. Its times are whole seconds, one at least.
    fn keep_alive(&self, interval: Duration) -> std::io::Result<()> {
        let Some(tcp) = self.link.stream().tcp() else { return Ok(()) };
        let interval = interval.max(Duration::from_secs(1));
        sockopt::set_tcp_keepidle(tcp, interval)?;
        sockopt::set_tcp_keepintvl(tcp, interval)?;
        sockopt::set_tcp_keepcnt(tcp, KEEPALIVE_PROBES)?;
        sockopt::set_socket_keepalive(tcp, true)?;
        Ok(())
    }

    /// Records a message. Returns whether the server has sent no more than a greeting by itself: what
    /// came right after the opening, or a single frame.
    fn received(&self, message: &Message<'_>) -> bool {
        let age = age(&self.link);
        let is_opening = age <= self.shared.plan.interval();
        // On these connections, a message may be an answer.
        let is_asking = matches!(self.connection.kind, Kind::Message | Kind::Busy);
        let mut is_greeting = false;
        self.shared.observations.update(self.index, |observed| {
            observed.heard = age;
            match message {
                Message::Ping(_) => observed.pings.came(age),
                Message::Text(_) | Message::Binary(_) if !(is_opening || is_asking) => {
                    observed.messages.came(age);
                }
                _ => {}
            }
            is_greeting = is_opening || observed.pings.count() + observed.messages.count() <= 1;
        });
        is_greeting
    }

    /// Sends what is due, unless the server has not answered for too long.
    async fn send_traffic(&mut self) -> Result<(), Ending> {
        let patience = self.shared.patience;
        let silent = self.link.activity().cut(Instant::now()).silent_received;
        if self.shared.plan.answers && self.connection.kind.is_answered() && silent > patience {
            return Err(Ending::NoPong(patience));
        }
        self.sent += 1;
        within(patience, self.send_frames()).await
    }

    async fn send_frames(&mut self) -> Result<(), Ending> {
        let payload = self.sent.to_be_bytes();
        match self.connection.kind {
            Kind::ProtocolPing => self.link.send(Opcode::Ping, &payload).await,
            Kind::UnaskedPong => self.link.send(Opcode::Pong, &payload).await,
            Kind::Message => self.send_message().await,
            Kind::Busy => {
                self.link.send(Opcode::Ping, &payload).await?;
                if self.shared.plan.takes_messages { self.send_message().await } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    async fn send_message(&mut self) -> Result<(), Ending> {
        let number = self.sent;
        match self.shared.plan.is_probe {
            true => self.link.request(&Request::Ping(FIRST_NUMBER + number)).await,
            false => self.link.send(Opcode::Text, message().as_bytes()).await,
        }
    }

    /// Pings the server once, which shows whether the connection is still alive.
    async fn ask(&mut self) -> Result<(), Ending> {
        if !self.shared.plan.answers {
            return Ok(());
        }
        let age = age(&self.link);
        let silent = self.link.activity().cut(Instant::now()).silent;
        match self.link.ping(self.shared.patience).await {
            Ok(_) => self.shared.observations.update(self.index, |observed| {
                observed.heard = observed.heard.max(age);
                observed.answered = Some(silent);
            }),
            Err(ending) => self.ended(&ending, Some((age, silent))),
        }
        Ok(())
    }

    /// Records the end of the connection. `asked` is age and silence at the ping that showed it.
    fn ended(&self, ending: &Ending, asked: Option<(Duration, Duration)>) {
        let cut = self.link.activity().cut(Instant::now());
        let seen = ObservedEnd::of(ending).unwrap_or(ObservedEnd::Silence);
        // Without a ping of the client, the kernel noticed the silence (TCP keepalive).
        let is_probed = seen == ObservedEnd::Silence && !self.connection.kind.is_answered();
        let (age, silent) = match asked {
            Some(asked) => asked,
            None if seen == ObservedEnd::Silence && !is_probed => {
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
        self.shared.observations.update(self.index, |observed| observed.end = Some(end));
    }
}

/// The message of a client to a server that does not speak `/probe`.
pub(super) fn message() -> String {
    Ping { client_name: "client idle".into(), message: PING.into() }.to_json()
}

/// Waits until the connections are no longer watched. The stage is not locked afterwards.
async fn watched(stage: &mut watch::Receiver<Stage>) {
    let _ = stage.wait_for(|stage| *stage > Stage::Watching).await;
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
