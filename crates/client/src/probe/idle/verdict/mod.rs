//! The verdict: sentences for a person, fields for a program.

mod idle;
mod other;
mod words;

use std::time::Duration;

use serde::Serialize;

use super::far_end::FarEnd;
use super::infer::Inference;
use super::kind::Kind;
use super::observed::Observed;
use super::scout::Scout;
use crate::outage::seen::Seen;
use crate::probe::diagnosis::{self, Limit};
use crate::record::seconds;
use crate::words::counted;
use words::{ending, limit, sentence};

/// All that the verdict is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case<'a> {
    pub(super) found: &'a Inference,
    pub(super) all: &'a [Observed],
    pub(super) scout: &'a Scout,
    /// How lost connections ended for the server.
    pub(super) far_end: Option<&'a FarEnd>,
    /// Connections that could not be opened, and why not the last one.
    pub(super) failures: (usize, Option<&'a str>),
    /// Time from the start of the probe.
    pub(super) now: Duration,
    /// Whether somebody stopped the probe.
    pub(super) is_stopped: bool,
}

/// A verdict.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Judgement {
    /// `None` if the probe could not tell.
    pub(super) ok: Option<bool>,
    pub(super) text: String,
    pub(super) fields: Fields,
}

/// The fields of the verdict in JSON. Times are in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Fields {
    idle_timeout: Option<f64>,
    cut_by: Option<Seen>,
    kept_by: Vec<Kind>,
    not_kept_by: Vec<Kind>,
    suggest_ping: Option<f64>,
    lifetime: Option<f64>,
    server_pings: Option<f64>,
    /// The longest silence that connections outlived.
    held: f64,
    /// Known limits that the measured time fits.
    fits: Vec<String>,
    /// How the server saw the end of a connection.
    server_saw: Option<String>,
    connections: usize,
    /// Connections that ended without a pattern.
    lost: usize,
}

/// The verdict on what was observed.
pub(super) fn judge(case: &Case<'_>) -> Judgement {
    let Case { found, all, far_end, .. } = case;
    let fields = Fields {
        kept_by: found.kept.clone(),
        not_kept_by: found.not_kept.clone(),
        server_pings: found.server_pings.map(seconds),
        held: seconds(found.answered),
        server_saw: far_end.map(|far| far.seen.clone()),
        connections: all.len(),
        lost: found.lost.len(),
        ..Fields::default()
    };
    let mut judgement = match (&found.idle, &found.lifetime, &found.instant) {
        (Some(idle), ..) => idle::judge(case, idle, fields),
        (None, Some(lifetime), _) => other::lifetime(case, lifetime, fields),
        (None, None, Some(instant)) => other::instant(case, instant, fields),
        (None, None, None) => other::nothing(case, fields),
    };
    for note in notes(case) {
        judgement.text.push(' ');
        judgement.text.push_str(&sentence(&note));
    }
    judgement
}

/// What else is worth telling.
fn notes(case: &Case<'_>) -> Vec<String> {
    let Case { found, all, scout, failures, .. } = case;
    let mut notes = Vec::new();
    if let [first, ..] = found.lost[..]
        && let Some(end) = &all[first].end
    {
        let count = counted(found.lost.len() as u64, "further connection");
        let (age, how) = (limit(end.age), ending(end));
        notes.push(format!("{count} ended without a pattern, the first after {age} ({how})"));
    }
    if let Some(how) = &scout.no_messages {
        notes.push(format!(
            "messages were not tried: the server ends a connection over one that it does not know ({how})"
        ));
    }
    if let (count @ 1.., Some(cause)) = *failures {
        let count = counted(count as u64, "connection");
        notes.push(format!("{count} could not be opened ({cause})"));
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

/// What is known about who has this limit, and the names of those.
fn fitting(kind: diagnosis::Kind, time: Duration, is_dumb: bool) -> (String, Vec<String>) {
    let fits: Vec<String> = diagnosis::fitting(kind, time, is_dumb).map(Limit::to_string).collect();
    let told = if fits.is_empty() { String::new() } else { format!("Fits: {}.", fits.join(", ")) };
    (told, fits)
}

#[cfg(test)]
impl Judgement {
    /// The fields as JSON.
    pub(super) fn fields_json(&self) -> serde_json::Value {
        serde_json::to_value(&self.fields).unwrap()
    }
}
