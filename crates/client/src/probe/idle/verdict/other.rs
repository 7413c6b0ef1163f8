//! Verdicts other than that on an idle timeout.

use std::time::Duration;

use super::super::far_end::FarEnd;
use super::super::infer::{Instant, Lifetime};
use super::super::kind::Kind;
use super::words::{common_ending, limit};
use super::{Case, Fields, Judgement, fitting, share};
use crate::outage::seen::Seen;
use crate::probe::diagnosis;
use crate::record;
use crate::words::{counted, seconds};

/// Fewest connections that may be lost without a pattern before the probe cannot tell any more, in
/// addition to [`LOST_SHARE`].
const FEWEST_LOST: usize = 3;

/// One in so many connections may be lost without a pattern.
const LOST_SHARE: usize = 8;

/// A cap on the age of a connection.
pub(super) fn lifetime(case: &Case<'_>, lifetime: &Lifetime, fields: Fields) -> Judgement {
    let age = seconds(lifetime.time);
    let count = share(lifetime.lanes.len(), reached(case, lifetime.time), "connection");
    let is_by_server = case.far_end.is_some_and(FarEnd::is_by_server);
    let (fits, names) = match is_by_server {
        true => (String::new(), Vec::new()),
        false => fitting(diagnosis::Kind::Lifetime, lifetime.time, false),
    };
    let mut text = format!(
        "cut at an age of {age}, busy or silent ({}; {count}): a cap on the lifetime, not an idle timeout. No ping helps: raise the cap, or connect again before it.",
        common_ending(case.all, &lifetime.lanes, lifetime.seen)
    );
    add(&mut text, &far_sentence(case));
    add(&mut text, &fits);
    let fields = Fields {
        cut_by: Some(lifetime.seen),
        lifetime: Some(record::seconds(lifetime.time)),
        fits: names,
        ..fields
    };
    Judgement { ok: Some(false), text, fields }
}

/// Connections that were open for so long.
fn reached(case: &Case<'_>, age: Duration) -> usize {
    let early = age.mul_f64(0.95).saturating_sub(Duration::from_millis(200));
    case.all.iter().filter(|lane| lane.age(case.now) >= early).count()
}

/// Ends at one instant.
pub(super) fn instant(case: &Case<'_>, instant: &Instant, fields: Fields) -> Judgement {
    let Case { found, all, .. } = case;
    let there = all.iter().filter(|lane| lane.was_open(instant.at));
    let count = share(instant.lanes.len(), there.count(), "connection");
    let how = common_ending(all, &instant.lanes, instant.seen);
    let at = seconds(instant.at);
    let remaining = found.open.max(found.answered);
    let cut_by = Some(instant.seen);
    let goes_on = remaining >= case.scout.plan.max.mul_f64(0.99);
    let cause = match instant.seen {
        Seen::Silence => "the server or something between stands still, or the network is gone",
        _ => "a reload, a restart or a failover",
    };
    let mut text = format!(
        "{count} ended at the same instant, {at} after the start, busy and silent ones ({how}): {cause}, not an idle timeout."
    );
    add(&mut text, &far_sentence(case));
    if goes_on {
        let max = limit(case.scout.plan.max);
        add(&mut text, &format!("The other connections show no timeout up to {max}."));
        return Judgement { ok: Some(true), text, fields: Fields { cut_by, ..fields } };
    }
    add(&mut text, "What a silent connection is cut after could not be told: run the probe again.");
    Judgement { ok: None, text, fields: Fields { cut_by, ..fields } }
}

/// No timeout, or none that can be told.
pub(super) fn nothing(case: &Case<'_>, fields: Fields) -> Judgement {
    let Case { found, all, scout, is_stopped, .. } = case;
    let max = limit(scout.plan.max);
    let silent = all.iter().filter(|lane| lane.kind == Kind::Silent).count();
    let held = found.answered >= scout.plan.max.mul_f64(0.99);
    let lost = found.lost.len();
    let (ok, text) = match () {
        () if *is_stopped => (None, so_far(case)),
        () if silent < 2 => (None, too_few(silent)),
        () if lost >= FEWEST_LOST.max(all.len().div_ceil(LOST_SHARE)) => (
            None,
            format!(
                "cannot tell: {} were lost, and neither a common silence nor a common age shows.",
                counted(lost as u64, "connection")
            ),
        ),
        () if found.server_pings.is_some() || found.server_messages.is_some() => {
            (None, hidden(case, &max))
        }
        () if !scout.plan.answers => (
            None,
            format!(
                "cannot tell: no connection was cut within {max}, but the server answers no ping, so a connection that was dropped without a word looks the same."
            ),
        ),
        () if held => {
            let answered = all.iter().filter(|lane| {
                lane.kind == Kind::Silent && lane.rung.is_none() && lane.answered.is_some()
            });
            let count = counted(answered.count() as u64, "silent connection");
            (
                Some(true),
                format!(
                    "no timeout up to {max}: the server still answered on {count} after {} without traffic.",
                    seconds(found.answered)
                ),
            )
        }
        () => (None, format!("cannot tell: no connection was silent for {max} and answered then.")),
    };
    Judgement { ok, text, fields }
}

fn too_few(silent: usize) -> String {
    format!(
        "cannot tell: {} could be opened, and one that is lost by chance must not count as a timeout; at least two are needed.",
        counted(silent as u64, "silent connection")
    )
}

fn so_far(case: &Case<'_>) -> String {
    format!(
        "stopped: no connection was cut so far, {} without traffic; timeouts up to {} were looked for.",
        seconds(case.found.open.max(case.found.answered)),
        limit(case.scout.plan.max)
    )
}

/// The server keeps the connection by itself.
fn hidden(case: &Case<'_>, max: &str) -> String {
    let Case { found, scout, .. } = case;
    let (what, every) = match (found.server_pings, found.server_messages) {
        (Some(pings), _) => ("pings", pings),
        (None, messages) => ("sends messages", messages.unwrap_or_default()),
    };
    let every = seconds(every);
    let advice = match scout.plan.is_probe {
        true => "Have the server be silent at /probe.",
        false => {
            "Ask at a path of the server that is silent (/probe of this project's server), or switch the server's own pings off for the test."
        }
    };
    format!(
        "cannot tell: the server itself {what} every {every}, which keeps the connection, so that a timeout above {every} does not show. There is none below that, and nothing was cut within {max}. {advice}"
    )
}

fn far_sentence(case: &Case<'_>) -> String {
    case.far_end.map(|far| far.sentence() + ".").unwrap_or_default()
}

fn add(text: &mut String, sentence: &str) {
    if !sentence.is_empty() {
        text.push(' ');
        text.push_str(sentence);
    }
}
