//! The verdict, as text and JSON fields.

mod idle;
mod other;
mod words;

use std::time::Duration;

use serde::Serialize;

use super::NAME;
use super::capabilities::Capabilities;
use super::infer::Inference;
use super::kind::Kind;
use super::observed::Observed;
use super::server_view::ServerView;
use crate::format::counted;
use crate::outage::observed_end::ObservedEnd;
use crate::probe::diagnosis::{self, Limit};
use crate::probe::output::Finding;
use crate::record::seconds;
use words::{ending, limit, sentence};

/// The observations that a verdict is based on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case<'a> {
    pub(super) found: &'a Inference,
    pub(super) all: &'a [Observed],
    pub(super) server: &'a Capabilities,
    pub(super) server_view: Option<&'a ServerView>,
    /// Number of connections that could not be opened, and the cause of the last failure.
    pub(super) failures: (usize, Option<&'a str>),
    /// Time from the start of the probe.
    pub(super) now: Duration,
    /// Whether the user stopped the probe.
    pub(super) is_stopped: bool,
}

/// A verdict before its sentences are joined. They have no full stop, and all but the first one get
/// a capital.
struct Verdict {
    /// `None` if the probe could not tell.
    ok: Option<bool>,
    sentences: Vec<String>,
    fields: Fields,
}

/// The fields of the verdict in JSON. Times are in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Fields {
    idle_timeout: Option<f64>,
    cut_by: Option<ObservedEnd>,
    kept_by: Vec<Kind>,
    not_kept_by: Vec<Kind>,
    suggest_ping: Option<f64>,
    lifetime: Option<f64>,
    server_pings: Option<f64>,
    /// The longest silence that connections survived.
    held: f64,
    /// Known limits that the measured time fits.
    fits: Vec<String>,
    /// How the server saw the end of a connection.
    server_saw: Option<String>,
    connections: usize,
    /// Connections that ended without a pattern.
    lost: usize,
}

/// The verdict on the observations.
pub(super) fn finding(case: &Case<'_>) -> Finding<Fields> {
    let Case { found, all, server_view, .. } = case;
    let fields = Fields {
        kept_by: found.kept.clone(),
        not_kept_by: found.not_kept.clone(),
        server_pings: found.server_pings.map(seconds),
        held: seconds(found.answered),
        server_saw: server_view.map(|view| view.seen.clone()),
        connections: all.len(),
        lost: found.lost.len(),
        ..Fields::default()
    };
    let Verdict { ok, mut sentences, fields } = match (&found.idle, &found.lifetime, &found.instant)
    {
        (Some(idle), ..) => idle::verdict(case, idle, fields),
        (None, Some(lifetime), _) => other::lifetime(case, lifetime, fields),
        (None, None, Some(instant)) => other::instant(case, instant, fields),
        (None, None, None) => other::nothing(case, fields),
    };
    sentences.extend(notes(case));
    let joined = sentences.iter().enumerate().map(|(number, text)| match number {
        0 => format!("{text}."),
        _ => format!(" {}", sentence(text)),
    });
    let text = joined.collect();
    Finding { probe: NAME, ok, text, fields }
}

/// Observations beside the verdict.
fn notes(case: &Case<'_>) -> Vec<String> {
    let Case { found, all, server, failures, .. } = case;
    let mut notes = Vec::new();
    if let [first, ..] = found.lost[..]
        && let Some(end) = &all[first].end
    {
        let count = counted(found.lost.len() as u64, "further connection");
        let (age, how) = (limit(end.age), ending(end));
        notes.push(format!("{count} ended without a pattern, the first after {age} ({how})"));
    }
    if let Some(how) = &server.no_messages {
        notes.push(format!(
            "messages were not tried: the server ends a connection over one that it does not know ({how})"
        ));
    }
    if let (count @ 1.., Some(cause)) = *failures {
        let of = counted((all.len() + count) as u64, "connection");
        notes.push(format!("{count} of {of} could not be opened ({cause})"));
    }
    notes
}

/// `all 12 connections`, or `11 of 12 connections`.
fn share(part: usize, whole: usize, what: &str) -> String {
    match part == whole {
        true => format!("all {}", counted(whole as u64, what)),
        false => format!("{part} of {}", counted(whole as u64, what)),
    }
}

/// The known limits that a time fits, as a sentence and as names. None if the server ended the
/// connections: these are limits of proxies and load balancers.
fn fitting(
    case: &Case<'_>,
    kind: diagnosis::Kind,
    time: Duration,
    is_dropped: bool,
) -> (Option<String>, Vec<String>) {
    if case.server_view.is_some_and(ServerView::is_by_server) {
        return (None, Vec::new());
    }
    let fits: Vec<_> = diagnosis::fitting(kind, time, is_dropped).map(Limit::to_string).collect();
    ((!fits.is_empty()).then(|| format!("Fits: {}", fits.join(", "))), fits)
}
