//! The verdicts without an idle timeout.

use std::time::Duration;

use super::super::infer::{Instant, Lifetime};
use super::super::kind::Kind;
use super::super::server_view::ServerView;
use super::words::{common_ending, limit, listed};
use super::{Case, Fields, Verdict, fitting, share};
use crate::format::{counted, seconds};
use crate::outage::observed_end::ObservedEnd;
use crate::probe::diagnosis;
use crate::record;

/// Fewest connections lost without a pattern that rule a verdict out, if they are also at least one
/// in [`LOST_SHARE`].
const FEWEST_LOST: usize = 3;

/// See [`FEWEST_LOST`].
const LOST_SHARE: usize = 8;

/// The verdict on a cap on the age of connections.
pub(super) fn lifetime(case: &Case<'_>, lifetime: &Lifetime, fields: Fields) -> Verdict {
    let age = seconds(lifetime.time);
    let count = share(lifetime.connections.len(), reached(case, lifetime.time), "connection");
    let (fits, names) = fitting(case, diagnosis::Kind::Lifetime, lifetime.time, false);
    let mut sentences = vec![format!(
        "cut at an age of {age}, busy or silent ({}; {count}): a cap on the lifetime, not an idle timeout. No ping helps: raise the cap, or connect again before it",
        common_ending(case.all, &lifetime.connections, lifetime.seen)
    )];
    sentences.extend(case.server_view.map(ServerView::sentence));
    sentences.extend(fits);
    let fields = Fields {
        cut_by: Some(lifetime.seen),
        lifetime: Some(record::seconds(lifetime.time)),
        fits: names,
        ..fields
    };
    Verdict { ok: Some(false), sentences, fields }
}

/// Number of connections that reached this age.
fn reached(case: &Case<'_>, age: Duration) -> usize {
    let early = age.mul_f64(0.95).saturating_sub(Duration::from_millis(200));
    case.all.iter().filter(|observed| observed.age(case.now) >= early).count()
}

/// The verdict on many ends at one instant.
pub(super) fn instant(case: &Case<'_>, instant: &Instant, fields: Fields) -> Verdict {
    let Case { found, all, server, .. } = case;
    let there = all.iter().filter(|observed| observed.was_open(instant.at));
    let count = share(instant.connections.len(), there.count(), "connection");
    let how = common_ending(all, &instant.connections, instant.seen);
    let at = seconds(instant.at);
    let cause = match instant.seen {
        ObservedEnd::Silence => {
            "the server or something between stands still, or the network is gone"
        }
        _ => "a reload, a restart or a failover",
    };
    let mut sentences = vec![format!(
        "{count} ended at the same instant, {at} after the start, busy and silent ones ({how}): {cause}, not an idle timeout"
    )];
    sentences.extend(case.server_view.map(ServerView::sentence));
    let others_held = found.open.max(found.answered) >= server.plan.max.mul_f64(0.99);
    sentences.push(match others_held {
        true => format!("The other connections show no timeout up to {}", limit(server.plan.max)),
        false => {
            "What a silent connection is cut after could not be told: run the probe again".into()
        }
    });
    let fields = Fields { cut_by: Some(instant.seen), ..fields };
    Verdict { ok: others_held.then_some(true), sentences, fields }
}

/// The verdict if there is no timeout, or none could be determined.
pub(super) fn nothing(case: &Case<'_>, fields: Fields) -> Verdict {
    let Case { found, all, server, is_stopped, .. } = case;
    let max = limit(server.plan.max);
    let silent = || all.iter().filter(|observed| observed.kind == Kind::Silent);
    let held = found.answered >= server.plan.max.mul_f64(0.99);
    let lost = found.lost.len();
    let text = match () {
        () if *is_stopped => format!(
            "stopped: no connection was cut so far, {} without traffic; timeouts up to {max} were looked for",
            seconds(found.open.max(found.answered))
        ),
        () if silent().count() < 2 => format!(
            "cannot tell: {} could be opened, and one that is lost by chance must not count as a timeout; at least two are needed",
            counted(silent().count() as u64, "silent connection")
        ),
        () if !missing(case).is_empty() => format!(
            "cannot tell: too few connections could be opened, none with {}",
            listed(&missing(case))
        ),
        () if lost >= FEWEST_LOST.max(all.len().div_ceil(LOST_SHARE)) => format!(
            "cannot tell: {} were lost, and neither a common silence nor a common age shows",
            counted(lost as u64, "connection")
        ),
        () if found.server_pings.is_some() || found.server_messages.is_some() => hidden(case, &max),
        () if !server.plan.answers => format!(
            "cannot tell: no connection was cut within {max}, but the server answers no ping, so a connection that was dropped without a word looks the same"
        ),
        () if held => {
            let count = silent()
                .filter(|observed| observed.asks_after.is_none() && observed.answered.is_some());
            let count = counted(count.count() as u64, "silent connection");
            let answered = seconds(found.answered);
            let text = format!(
                "no timeout up to {max}: the server still answered on {count} after {answered} without traffic"
            );
            return Verdict { ok: Some(true), sentences: vec![text], fields };
        }
        () => format!("cannot tell: no connection was silent for {max} and answered then"),
    };
    Verdict { ok: None, sentences: vec![text], fields }
}

/// The kinds of traffic for which connections were planned and none could be opened.
fn missing(case: &Case<'_>) -> Vec<Kind> {
    let planned = case.server.plan.connections();
    let is_planned = |kind: &Kind| planned.iter().any(|connection| connection.kind == *kind);
    let is_there = |kind: &Kind| case.all.iter().any(|observed| observed.kind == *kind);
    Kind::ALL.into_iter().filter(|kind| is_planned(kind) && !is_there(kind)).collect()
}

/// The verdict if frames of the server itself keep the connection.
fn hidden(case: &Case<'_>, max: &str) -> String {
    let Case { found, server, .. } = case;
    let (what, every) = match (found.server_pings, found.server_messages) {
        (Some(pings), _) => ("pings", pings),
        (None, messages) => ("sends messages", messages.unwrap_or_default()),
    };
    let every = seconds(every);
    let advice = match server.plan.is_probe {
        true => "Have the server be silent at /probe",
        false => {
            "Ask at a path of the server that is silent (/probe of this project's server), or switch the server's own pings off for the test"
        }
    };
    format!(
        "cannot tell: the server itself {what} every {every}, which keeps the connection, so that a timeout above {every} does not show. There is none below that, and nothing was cut within {max}. {advice}"
    )
}
