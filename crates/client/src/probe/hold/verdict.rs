//! The verdict on the connections, as text and JSON fields.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::Options;
use super::cause::LossCause;
use super::stats::Stats;
use crate::format::{counted, plural, seconds};
use crate::net::error::SEE_WHY;
use crate::outage::cause::Cause;
use crate::outage::observed_end::ObservedEnd;
use crate::probe::instances::NameSource;
use crate::probe::instances::shares::{Shares, probability, shown};
use crate::probe::output::{Finding, joined};
use crate::record;

/// Fewest new connections that show which servers still answer.
const FEWEST_NEW: u64 = 5;

/// The fields of the verdict in JSON.
#[derive(Debug, Serialize)]
pub(super) struct Fields {
    /// Connections that were held at any time.
    connections: u64,
    /// Connections that were lost at least once.
    lost: u64,
    /// Losses; a connection may be lost several times.
    losses: u64,
    seen: BTreeMap<String, u64>,
    seen_by_server: BTreeMap<String, u64>,
    worst_gap: Option<f64>,
    median_gap: Option<f64>,
    refused: u64,
    even_after: Option<bool>,
    cause: Option<&'static str>,
    not_back: u64,
    stalls: u64,
    longest_stall: Option<f64>,
    shares_before: Shares,
    shares_after: Shares,
}

/// How a connection ended, as part of a sentence.
pub(super) fn ended(seen: ObservedEnd) -> String {
    match seen {
        ObservedEnd::Close(1001) => "drained (Close 1001)".into(),
        ObservedEnd::Close(1005) => "closed (Close without a code)".into(),
        ObservedEnd::Close(code) => format!("closed (Close {code})"),
        ObservedEnd::Fin => "cut (FIN without a Close)".into(),
        ObservedEnd::Rst => "reset (RST)".into(),
        ObservedEnd::Tls => "broken (an error of TLS)".into(),
        ObservedEnd::Silence => "given up (no reply)".into(),
        ObservedEnd::Refused => "refused".into(),
    }
}

/// The verdict.
pub(super) fn finding(stats: &Stats, options: &Options) -> Finding<Fields> {
    let summary = Summary { stats, max_gap: options.max_gap };
    let text = joined(&summary.sentences(), options.json);
    Finding { probe: "hold", ok: summary.is_ok(), text, fields: summary.fields() }
}

struct Summary<'a> {
    stats: &'a Stats,
    max_gap: Option<Duration>,
}

impl Summary<'_> {
    fn fields(&self) -> Fields {
        let stats = self.stats;
        let stall = Some(stats.longest_stall).filter(|stall| !stall.is_zero());
        Fields {
            connections: stats.ever,
            lost: stats.lost,
            losses: stats.losses(),
            seen: stats.seen.iter().map(|(seen, count)| (seen.to_string(), *count)).collect(),
            seen_by_server: stats.server_views.fields(),
            worst_gap: stats.worst_gap.map(record::seconds),
            median_gap: stats.median_gap().map(record::seconds),
            refused: stats.refused.total(),
            even_after: stats.is_even_after(),
            cause: stats.cause().map(LossCause::name),
            not_back: stats.not_back,
            stalls: stats.stalls,
            longest_stall: stall.map(record::seconds),
            shares_before: stats.before.as_ref().unwrap_or(&stats.shares).clone(),
            shares_after: stats.after(),
        }
    }

    fn is_ok(&self) -> Option<bool> {
        let stats = self.stats;
        if stats.ever == 0 {
            return (stats.refused.total() > 0).then_some(false);
        }
        let has_held = match self.max_gap {
            Some(most) => self.longest_gap() <= most && !self.has_open_gap(),
            None => stats.losses() == 0,
        };
        match (has_held, stats.is_opened()) {
            (true, true) => Some(stats.ever == stats.asked),
            (true, false) => None,
            (false, _) => Some(false),
        }
    }

    fn sentences(&self) -> Vec<String> {
        let stats = self.stats;
        let refusals = self.refusals();
        if stats.ever == 0 {
            return match refusals {
                None => vec!["it ended before a connection was made".into()],
                Some(refusals) => {
                    vec!["no connection could be made".into(), refusals, SEE_WHY.into()]
                }
            };
        }
        let sentences = [
            Some(self.losses()),
            self.never_made(),
            self.lost_from(),
            stats.server_views.sentence(),
            self.cause(),
            self.gaps(),
            self.stalls(),
            refusals,
            self.load(),
            self.max_gap(),
        ];
        sentences.into_iter().flatten().collect()
    }

    fn losses(&self) -> String {
        let stats = self.stats;
        let (ever, elapsed) = (counted(stats.ever, "connection"), seconds(stats.elapsed));
        if stats.losses() == 0 {
            return format!("none of {ever} was lost in {elapsed}");
        }
        let word = |(seen, count): (&ObservedEnd, &u64)| format!("{count} {}", ended(*seen));
        let how: Vec<_> = stats.seen.iter().map(word).collect();
        let times = match stats.losses() {
            losses if losses > stats.lost => format!(" ({losses} times in all)"),
            _ => String::new(),
        };
        let verb = if stats.lost == 1 { "was" } else { "were" };
        format!("{} of {ever} {verb} lost{times} in {elapsed}: {}", stats.lost, how.join(", "))
    }

    fn never_made(&self) -> Option<String> {
        let stats = self.stats;
        let never = stats.asked.checked_sub(stats.ever).filter(|never| *never > 0)?;
        Some(match stats.is_opened() {
            true => {
                format!("{never} of {} could never be made", counted(stats.asked, "connection"))
            }
            false => format!("That is before all {} were opened", stats.asked),
        })
    }

    /// Which instances lost connections, and whether they still answer.
    fn lost_from(&self) -> Option<String> {
        let stats = self.stats;
        let before = stats.before.as_ref()?;
        let lost = &stats.lost_from;
        let names = lost.sorted();
        let (first, _) = names.first()?;
        let after = stats.after();
        let which = match (names.len(), before.instances()) {
            (1, 1) => format!("All were connections to {}", shown(first)),
            (1, _) => format!("All were connections to {}, none to any other server", shown(first)),
            (some, all) if some >= all => {
                format!("They were connections to all servers ({})", lost.words())
            }
            _ => format!("They were connections to {}", lost.words()),
        };
        // Only at /probe an instance has another name after a restart.
        if stats.by != Some(NameSource::Hello) || stats.newly_made() < FEWEST_NEW {
            return Some(which);
        }
        let still = names.iter().filter(|(name, _)| after.has(name)).count();
        Some(match still {
            0 if names.len() == 1 => format!(
                "{which}. It answers no new connection: it was stopped, replaced or taken out"
            ),
            0 => format!(
                "{which}. None of these answers a new connection: they were stopped, replaced or taken out"
            ),
            still if still == names.len() => {
                let same = match still {
                    1 => "The same server still answers and was not restarted",
                    _ => "The same servers still answer and were not restarted",
                };
                format!("{which}. {same}: what stands between, or the network, cut the connections")
            }
            still => format!("{which}. {still} of these {} still answer", names.len()),
        })
    }

    fn cause(&self) -> Option<String> {
        let cause = match self.stats.cause()? {
            LossCause::Rolling(servers) => {
                return Some(format!(
                    "The connections of each of {servers} servers were lost at one instant, one server after the other, as in a rolling update"
                ));
            }
            LossCause::Common(cause) => cause,
        };
        Some(match cause {
            Cause::Instant => {
                "They were lost at one instant, as in a restart, a reload or a failover".into()
            }
            Cause::Idle(time) => format!(
                "Each was silent for {} before: an idle timeout shorter than the second between two pings",
                seconds(time)
            ),
            Cause::Lifetime(time) => {
                format!("Each was {} old: a limit of the lifetime", seconds(time))
            }
            Cause::Unknown if self.stats.losses() == 1 => return None,
            Cause::Unknown => "They have neither an instant nor an age in common".into(),
        })
    }

    fn gaps(&self) -> Option<String> {
        let stats = self.stats;
        let (worst, median) = (stats.worst_gap?, stats.median_gap()?);
        let not_back = match stats.not_back {
            0 => String::new(),
            number => format!("; {number} did not come back by the end"),
        };
        Some(format!(
            "From the last reply to the next one it took {} at worst and {} in the median{not_back}",
            gap(worst),
            gap(median)
        ))
    }

    fn stalls(&self) -> Option<String> {
        let stats = self.stats;
        let mut parts = Vec::new();
        if stats.stalls > 0 {
            parts.push(format!(
                "{} came late over connections that held, up to {} after the one before",
                plural(stats.stalls, "reply", "replies"),
                gap(stats.longest_stall)
            ));
        }
        if stats.waiting > 0 {
            parts.push(format!(
                "{} had waited for a reply at the end",
                counted(stats.waiting, "connection")
            ));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    fn refusals(&self) -> Option<String> {
        let refused = &self.stats.refused;
        match refused.total() {
            0 if self.stats.losses() == 0 => None,
            0 => Some("No new connection was refused".into()),
            total => Some(format!(
                "{} of new connections ({})",
                counted(total, "refusal"),
                refused.words()
            )),
        }
    }

    /// How the connections spread over the instances, before the first loss and at the end.
    fn load(&self) -> Option<String> {
        let stats = self.stats;
        let after = stats.after();
        if after.instances() == 0 {
            return None;
        }
        let even = stats.is_even_after().map(|is_even| match is_even {
            true => "even".to_owned(),
            false => format!(
                "not even (chance alone does that in {} of all cases, chi-square test)",
                after.p_value().map(probability).unwrap_or_default()
            ),
        });
        let words = after.words();
        Some(match (&stats.before, even) {
            (None, even) => format!("The load is {}: {words}", even?),
            (Some(before), None) => format!("Before: {}; after: {words}", before.words()),
            (Some(before), Some(even)) => {
                format!("The load after it is {even}; before: {}; after: {words}", before.words())
            }
        })
    }

    fn max_gap(&self) -> Option<String> {
        let most = self.max_gap?;
        match self.longest_gap() > most {
            true => Some(format!("That is longer than {} (--max-gap)", gap(most))),
            false if self.has_open_gap() => None,
            false => Some(format!("No gap was longer than {} (--max-gap)", gap(most))),
        }
    }

    /// The longest time without a reply, of connections that were lost and of those that held.
    fn longest_gap(&self) -> Duration {
        self.stats.worst_gap.unwrap_or_default().max(self.stats.longest_stall)
    }

    /// Whether connections were without a reply at the end.
    fn has_open_gap(&self) -> bool {
        self.stats.not_back > 0 || self.stats.waiting > 0
    }
}

/// The length of a gap, with two decimals below 10 s.
fn gap(time: Duration) -> String {
    match time.as_secs_f64() {
        time if time < 10.0 => format!("{time:.2} s"),
        time => format!("{time:.1} s"),
    }
}

#[cfg(test)]
mod tests;
