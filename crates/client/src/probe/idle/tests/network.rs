//! A simulated network: what each connection would observe, as a function of time.

use std::time::Duration;

use super::super::capabilities::Capabilities;
use super::super::infer::{Idle, Inference, infer};
use super::super::kind::Kind;
use super::super::observed::{End, Observed};
use super::super::plan::{Plan, PlannedConnection};
use super::super::progress::{Next, Progress, next};
use super::super::verdict::{Case, Fields, finding};
use crate::outage::observed_end::ObservedEnd;
use crate::probe::output::Finding;

/// Longest wait for an answer.
const PATIENCE: f64 = 3.0;

/// Selects the affected connections by their numbers.
pub(super) type Hits = fn(usize) -> bool;

/// A simulated network, and the events in it. Times are in seconds.
#[derive(Clone)]
pub(super) struct Network {
    pub(super) max: f64,
    pub(super) is_probe: bool,
    /// The idle timeout, and how a cut is seen.
    pub(super) idle: Option<f64>,
    pub(super) seen: ObservedEnd,
    /// Whether connections are dropped silently.
    pub(super) is_dropped: bool,
    /// Kinds of traffic that the proxy counts.
    pub(super) counts: fn(Kind) -> bool,
    pub(super) lifetime: Option<f64>,
    /// How often the proxy looks for connections past their timeout; `None` is at once.
    pub(super) sweep: Option<f64>,
    /// An instant at which these connections end.
    pub(super) instant: Option<(f64, Hits)>,
    /// Connections that are lost by chance, with their ages at the end.
    pub(super) lost: &'static [(usize, f64)],
    /// The largest delay of an event.
    pub(super) jitter: f64,
    pub(super) server_pings: Option<f64>,
    /// The age at which the server sends a single Ping.
    pub(super) greeting: Option<f64>,
    /// Another timeout, of every second connection.
    pub(super) other_idle: Option<f64>,
}

/// A network in which nothing is cut.
pub(super) const CALM: Network = Network {
    max: 20.0,
    is_probe: false,
    idle: None,
    seen: ObservedEnd::Fin,
    is_dropped: false,
    counts: Kind::is_talking,
    lifetime: None,
    sweep: None,
    instant: None,
    lost: &[],
    jitter: 0.01,
    server_pings: None,
    greeting: None,
    other_idle: None,
};

/// The result of the probe, and how long it took.
pub(super) struct Outcome {
    pub(super) found: Inference,
    pub(super) finding: Finding<Fields>,
    pub(super) took: f64,
}

fn seconds(time: f64) -> Duration {
    Duration::from_secs_f64(time.max(0.0))
}

impl Outcome {
    /// Checks whether the verdict is good, and returns its text.
    #[track_caller]
    pub(super) fn assert_ok(&self, ok: Option<bool>) -> &str {
        let text = &self.finding.text;
        assert_eq!(self.finding.ok, ok, "{text}");
        text
    }

    #[track_caller]
    pub(super) fn idle(&self) -> &Idle {
        self.found.idle.as_ref().unwrap_or_else(|| panic!("{}", self.finding.text))
    }

    /// Checks a cap on the lifetime, in seconds.
    #[track_caller]
    pub(super) fn assert_lifetime(&self, lifetime: f64, error: f64) -> ObservedEnd {
        let text = &self.finding.text;
        let found = self.found.lifetime.as_ref().unwrap_or_else(|| panic!("{text}"));
        assert!((found.time.as_secs_f64() - lifetime).abs() < error, "{text}");
        found.seen
    }

    /// The fields of the verdict as JSON.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::to_value(&self.finding.fields).unwrap()
    }
}

/// A pseudorandom number from 0 to 1.
fn noise(number: usize) -> f64 {
    ((number as f64 + 1.0) * 12.9898).sin().mul_add(43758.5453, 0.0).fract().abs()
}

impl Network {
    fn plan(&self) -> Plan {
        Plan {
            max: seconds(self.max),
            is_probe: self.is_probe,
            takes_messages: true,
            answers: true,
            is_tcp: true,
        }
    }

    /// Probes the network.
    pub(super) fn probe(&self) -> Outcome {
        let plan = self.plan();
        let (mut connections, mut is_refined) = (plan.connections(), false);
        let mut now = 0.0;
        let finished = loop {
            let all = self.look(&connections, now, None);
            let is_opening = connections.iter().any(|connection| connection.start > seconds(now));
            let progress = Progress { now: seconds(now), is_opening, is_refined };
            match next(&infer(&all, seconds(now)), &all, &plan, progress) {
                Next::Wait => now += 0.1,
                Next::Refine(further) => {
                    assert!(!is_refined, "refined twice");
                    is_refined = true;
                    connections.extend(further);
                }
                Next::Finish => break now,
            }
            assert!(now < self.max * 4.0 + 60.0, "no end");
        };
        let now = finished + PATIENCE;
        let all = self.look(&connections, now, Some(finished));
        let found = infer(&all, seconds(now));
        let server = Capabilities { plan, answered_by: None, no_messages: None };
        let finding = finding(&Case {
            found: &found,
            all: &all,
            server: &server,
            server_view: None,
            failures: (0, None),
            now: seconds(now),
            is_stopped: false,
        });
        Outcome { finding, took: finished, found }
    }

    /// The observations at a time, and after the probe asked at another.
    fn look(
        &self,
        connections: &[PlannedConnection],
        now: f64,
        finished: Option<f64>,
    ) -> Vec<Observed> {
        let opened = connections
            .iter()
            .enumerate()
            .filter(|(_, connection)| connection.start <= seconds(now));
        opened.map(|(number, connection)| self.observe(number, connection, now, finished)).collect()
    }

    fn observe(
        &self,
        number: usize,
        connection: &PlannedConnection,
        now: f64,
        finished: Option<f64>,
    ) -> Observed {
        let opened = connection.start.as_secs_f64() + noise(number) * self.jitter;
        let mut seen = Observed::new(connection.kind, connection.asks_after, seconds(opened));
        let (age, over) = (now - opened, self.over(number, connection.kind, opened));
        let asks = match connection.kind {
            Kind::Silent => {
                let silence = connection.asks_after.map_or(self.max, |time| time.as_secs_f64());
                let greeting = self.greeting.filter(|&greeting| greeting < silence);
                silence + greeting.unwrap_or_default()
            }
            _ => finished.map_or(f64::INFINITY, |finished| finished - opened),
        };
        let stays = finished.is_some_and(|finished| finished - opened < asks);
        let alive = age.min(over).min(asks);
        let pause = self.plan().interval().as_secs_f64();
        let last = |pause: f64| (alive / pause).floor() * pause;
        seen.heard = seconds(match connection.kind {
            Kind::Silent | Kind::TcpKeepalive | Kind::UnaskedPong => 0.0,
            Kind::Busy => last(pause / 5.0),
            _ => last(pause),
        });
        if let Some(every) = self.server_pings {
            let pings = (1..).map(|number| f64::from(number) * every);
            pings.take_while(|&ping| ping < alive).for_each(|ping| seen.pings.came(seconds(ping)));
        }
        if let Some(greeting) = self.greeting.filter(|&greeting| greeting <= alive) {
            seen.pings.came(seconds(greeting));
        }
        let is_told = !self.is_dropped || self.is_lost(number).is_some();
        if over <= asks && is_told && age >= over {
            seen.end = Some(self.end(&seen, over, over, false));
        } else if over <= asks
            && self.is_dropped
            && connection.kind.is_answered()
            && age >= over + PATIENCE
        {
            let last = seen.heard.as_secs_f64();
            seen.end =
                Some(End { seen: ObservedEnd::Silence, ..self.end(&seen, last, over, false) });
        } else if over <= asks && self.is_dropped && age >= asks + PATIENCE && !stays {
            seen.end = Some(self.end(&seen, asks, asks, true));
        } else if over > asks && age >= asks {
            let greeting = self.greeting.filter(|&greeting| greeting < asks);
            seen.answered = Some(seconds(asks - greeting.unwrap_or_default()));
            seen.heard = seconds(asks);
            seen.done = Some(seconds(asks));
        }
        seen
    }

    fn end(&self, connection: &Observed, age: f64, silent: f64, is_asked: bool) -> End {
        let last = connection.pings.last().as_secs_f64();
        let silent = seconds(silent - last);
        End {
            age: seconds(age),
            silent,
            seen: self.seen,
            reason: String::new(),
            said: String::new(),
            is_asked,
        }
    }

    fn is_lost(&self, number: usize) -> Option<f64> {
        self.lost.iter().find(|(connection, _)| *connection == number).map(|(_, age)| *age)
    }

    /// The age at which a connection is over.
    fn over(&self, number: usize, kind: Kind, opened: f64) -> f64 {
        let late = noise(number + 1000) * self.jitter;
        let mut over = f64::INFINITY;
        let idle = match self.other_idle {
            Some(other) if number.is_multiple_of(2) => Some(other),
            _ => self.idle,
        };
        let is_pinged = self.server_pings.is_some_and(|every| {
            (self.counts)(Kind::ProtocolPing) && idle.is_some_and(|idle| every < idle)
        });
        if let Some(idle) = idle.filter(|_| !(self.counts)(kind) && !is_pinged) {
            over =
                idle + late + self.greeting.filter(|&greeting| greeting < idle).unwrap_or_default();
        }
        if let Some(lifetime) = self.lifetime {
            over = over.min(lifetime + late);
        }
        if let Some(sweep) = self.sweep.filter(|_| over.is_finite()) {
            over = ((opened + over) / sweep).ceil() * sweep - opened;
        }
        if let Some((instant, _)) = self.instant.filter(|(_, hits)| hits(number)) {
            over = over.min((instant + late - opened).max(0.0));
        }
        self.is_lost(number).map_or(over, |age| over.min(age))
    }
}
