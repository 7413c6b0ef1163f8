//! The output while the probe runs, and the record of each connection.

use std::time::Duration;

use serde::Serialize;

use super::super::output::Printer;
use super::infer::Inference;
use super::kind::Kind;
use super::observations::Observations;
use super::observed::{End, Observed};
use super::plan::Plan;
use crate::format::{counted, seconds};
use crate::net::url::ServerUrl;
use crate::outage::observed_end::ObservedEnd;
use crate::record;

/// The fields of a connection in JSON. Times are in seconds.
#[derive(Debug, Serialize)]
struct Fields<'a> {
    lane: Kind,
    /// The silence after which the connection asks once, if it tests that silence.
    asks_after: Option<f64>,
    /// The number that `/probe` gave the connection.
    connection: Option<&'a str>,
    age: f64,
    /// The silence after which the server answered, of a connection without traffic.
    answered: Option<f64>,
    /// How the connection ended; `None` if it held.
    seen: Option<ObservedEnd>,
    reason: Option<&'a str>,
    /// Time without traffic before the end.
    silent: Option<f64>,
    /// Ping frames and messages that the server sent by itself.
    server_pings: u32,
    server_messages: u32,
}

/// Prints the record of a connection that has ended.
pub(super) async fn record(printer: &Printer, observations: &Observations, index: usize) {
    let Some(connection) = observations.connections().get(index).cloned() else { return };
    let end = connection.end.as_ref();
    let is_quiet = !connection.kind.is_talking();
    let fields = Fields {
        lane: connection.kind,
        asks_after: connection.asks_after.map(record::seconds),
        connection: connection.number.as_ref().map(|(number, _)| number.as_str()),
        age: record::seconds(connection.age(observations.now())),
        answered: connection.answered.filter(|_| is_quiet).map(record::seconds),
        seen: end.map(|end| end.seen),
        reason: end.map(|end| end.reason.as_str()),
        silent: end.filter(|_| is_quiet).map(|end| record::seconds(end.silent)),
        server_pings: connection.pings.count(),
        server_messages: connection.messages.count(),
    };
    printer.record("lane", &fields).await;
}

/// The first line.
pub(super) fn beginning(url: &ServerUrl, plan: &Plan) -> String {
    let connections = plan.connections();
    let asking = connections.iter().filter(|connection| connection.asks_after.is_some()).count();
    let own = counted((connections.len() - asking) as u64, "connection");
    let max = seconds(plan.max);
    match asking {
        0 => format!("{url}: {own} side by side, looking for timeouts up to {max}"),
        _ => format!(
            "{url}: {own} side by side and {asking} that ask once, looking for timeouts up to {max}"
        ),
    }
}

/// The line about Ping frames of the server, once these are noticed.
pub(super) fn server_pings(found: &Inference) -> Option<String> {
    let pings = found.server_pings?;
    Some(format!(
        "the server itself pings every {}: a longer timeout does not show. Waiting for what is cut all the same; Ctrl-C ends",
        seconds(pings)
    ))
}

/// The status line.
pub(super) fn live(all: &[Observed], found: &Inference, plan: &Plan, now: Duration) -> String {
    let open = all.iter().filter(|observed| observed.is_open()).count();
    let open = format!("{open} of {} open", counted(all.len() as u64, "connection"));
    match &found.idle {
        Some(idle) => {
            let left = (idle.high + plan.settle(idle.high)).saturating_sub(now);
            format!(
                "cut after {}; what keeps a connection shows in {}; {open}",
                seconds(idle.time),
                seconds(left)
            )
        }
        None => format!(
            "silent for {}, not cut so far; {open}; {} left",
            seconds(found.open),
            seconds(plan.max.saturating_sub(found.open))
        ),
    }
}

/// The connections, one line per kind.
pub(super) fn table(all: &[Observed], now: Duration) -> Vec<String> {
    let row = |kind: Kind| {
        let connections: Vec<_> = all.iter().filter(|observed| observed.kind == kind).collect();
        (!connections.is_empty())
            .then(|| format!("  {:<15} {}", kind.name(), outcomes(&connections, now)))
    };
    Kind::ALL.into_iter().filter_map(row).collect()
}

/// `2 held for 10.0 s`, or `13 cut after 5.0 to 5.1 s (fin), 4 answered after 1.0 to 4.0 s`.
fn outcomes(connections: &[&Observed], now: Duration) -> String {
    let is_silent = connections.iter().all(|observed| observed.kind == Kind::Silent);
    let mut ends: Vec<_> =
        connections.iter().filter_map(|observed| observed.end.as_ref()).collect();
    ends.sort_by_key(|end| (end.is_asked, end.seen));
    let same = ends.chunk_by(|one, other| (one.is_asked, one.seen) == (other.is_asked, other.seen));
    let mut parts: Vec<_> = same
        .map(|same| {
            let what = if same[0].is_asked { "dead when asked" } else { "cut" };
            let time = |end: &&End| if is_silent { end.silent } else { end.age };
            format!("{} ({})", spanned(what, "after", same.iter().map(time)), same[0].seen)
        })
        .collect();
    let held = || connections.iter().filter(|observed| observed.end.is_none());
    let answered: Vec<_> = held().filter_map(|observed| observed.answered).collect();
    if is_silent && !answered.is_empty() {
        parts.push(spanned("answered", "after", answered.into_iter()));
    }
    let open = held().filter(|observed| !is_silent || observed.answered.is_none());
    let ages: Vec<_> = open.map(|observed| observed.age(now)).collect();
    if !ages.is_empty() {
        parts.push(spanned("held", "for", ages.into_iter()));
    }
    parts.join(", ")
}

/// `13 cut after 5.0 to 5.6 s`.
fn spanned(what: &str, preposition: &str, times: impl Iterator<Item = Duration>) -> String {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    let [low, .., high] = times.as_slice() else {
        let time = times.first().copied().unwrap_or_default();
        return format!("1 {what} {preposition} {}", seconds(time));
    };
    let count = times.len();
    match *high - *low < Duration::from_millis(100) {
        true => format!("{count} {what} {preposition} {}", seconds(*high)),
        false => {
            format!("{count} {what} {preposition} {:.1} to {}", low.as_secs_f64(), seconds(*high))
        }
    }
}
