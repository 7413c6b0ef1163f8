//! What happened to the connections, in words and in JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::Options;
use super::fleet::Fleet;
use super::moment::Moment;
use crate::outage::seen::Seen;
use crate::probe::crowd::instance::By;
use crate::probe::crowd::sentences::joined;
use crate::probe::crowd::shares::{Share, Shares, probability, shown};
use crate::probe::report::Finding;
use crate::record;
use crate::words::{counted, seconds};

/// Fewest new connections that show which servers still answer.
const FEWEST_NEW: u64 = 5;

/// The fields of the verdict in JSON.
#[derive(Debug, Serialize)]
pub(super) struct Fields {
    /// Connections that were held at any time.
    connections: u64,
    /// Connections that were lost at least once.
    lost: u64,
    /// Ends of connections, of which one may have had several.
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
    shares_before: Vec<Share>,
    shares_after: Vec<Share>,
}

/// How a connection ended, as part of a sentence.
pub(super) fn ended(seen: Seen) -> String {
    match seen {
        Seen::Close(1001) => "drained (Close 1001)".into(),
        Seen::Close(1005) => "closed (Close without a code)".into(),
        Seen::Close(code) => format!("closed (Close {code})"),
        Seen::Fin => "cut (FIN without a Close)".into(),
        Seen::Rst => "reset (RST)".into(),
        Seen::Silence => "given up (no reply)".into(),
        Seen::Refused => "refused".into(),
    }
}

/// The verdict.
pub(super) fn finding(fleet: &Fleet, options: &Options) -> Finding<Fields> {
    let story = Story { fleet, max_gap: options.max_gap };
    let text = joined(&story.sentences(), options.json);
    Finding { probe: "hold", ok: story.is_ok(), text, fields: story.fields() }
}

struct Story<'a> {
    fleet: &'a Fleet,
    max_gap: Option<Duration>,
}

impl Story<'_> {
    fn fields(&self) -> Fields {
        let fleet = self.fleet;
        let stall = Some(fleet.longest_stall).filter(|stall| !stall.is_zero());
        Fields {
            connections: fleet.ever,
            lost: fleet.lost,
            losses: fleet.losses(),
            seen: fleet.seen.iter().map(|(seen, count)| (seen.to_string(), *count)).collect(),
            seen_by_server: fleet.told.fields(),
            worst_gap: fleet.worst_gap.map(record::seconds),
            median_gap: fleet.median_gap().map(record::seconds),
            refused: fleet.refused.total(),
            even_after: fleet.is_even_after(),
            cause: fleet.moment().map(Moment::name),
            not_back: fleet.not_back,
            stalls: fleet.stalls,
            longest_stall: stall.map(record::seconds),
            shares_before: fleet.before.as_ref().unwrap_or(&fleet.shares).fields(),
            shares_after: fleet.after().fields(),
        }
    }

    fn is_ok(&self) -> Option<bool> {
        let fleet = self.fleet;
        if fleet.ever == 0 {
            return (fleet.refused.total() > 0).then_some(false);
        }
        if let Some(most) = self.max_gap {
            let longest = fleet.worst_gap.unwrap_or_default().max(fleet.longest_stall);
            return Some(longest <= most && fleet.not_back == 0 && fleet.waiting == 0);
        }
        match (fleet.losses(), fleet.is_opened()) {
            (0, true) => Some(fleet.ever == fleet.asked),
            (0, false) => None,
            _ => Some(false),
        }
    }

    fn sentences(&self) -> Vec<String> {
        let fleet = self.fleet;
        let refusals = self.refusals();
        if fleet.ever == 0 {
            return match refusals {
                None => vec!["it ended before a connection was made".into()],
                Some(refusals) => vec!["no connection could be made".into(), refusals],
            };
        }
        let sentences = [
            Some(self.losses()),
            self.never(),
            self.owners(),
            fleet.told.sentence(),
            self.moment(),
            self.gaps(),
            self.stalls(),
            refusals,
            self.load(),
            self.bound(),
        ];
        sentences.into_iter().flatten().collect()
    }

    fn losses(&self) -> String {
        let fleet = self.fleet;
        let (ever, elapsed) = (counted(fleet.ever, "connection"), seconds(fleet.elapsed));
        if fleet.losses() == 0 {
            return format!("none of {ever} was lost in {elapsed}");
        }
        let word = |(seen, count): (&Seen, &u64)| format!("{count} {}", ended(*seen));
        let how: Vec<_> = fleet.seen.iter().map(word).collect();
        let times = match fleet.losses() {
            losses if losses > fleet.lost => format!(" ({losses} times in all)"),
            _ => String::new(),
        };
        let verb = if fleet.lost == 1 { "was" } else { "were" };
        format!("{} of {ever} {verb} lost{times} in {elapsed}: {}", fleet.lost, how.join(", "))
    }

    fn never(&self) -> Option<String> {
        let fleet = self.fleet;
        let never = fleet.asked.checked_sub(fleet.ever).filter(|never| *never > 0)?;
        Some(match fleet.is_opened() {
            true => {
                format!("{never} of {} could never be made", counted(fleet.asked, "connection"))
            }
            false => format!("That is before all {} were made", fleet.asked),
        })
    }

    /// Whose connections were lost, and what became of the servers.
    fn owners(&self) -> Option<String> {
        let fleet = self.fleet;
        let before = fleet.before.as_ref()?;
        let lost = &fleet.lost_from;
        let names = lost.sorted();
        let (first, _) = names.first()?;
        let after = fleet.after();
        let whose = match (names.len(), before.instances()) {
            (1, 1) => format!("All were connections to {}", shown(first)),
            (1, _) => format!("All were connections to {}, none to any other server", shown(first)),
            (some, all) if some >= all => {
                format!("They were connections to all servers ({})", lost.words())
            }
            _ => format!("They were connections to {}", lost.words()),
        };
        // Only /probe gives a server another name with each start.
        if fleet.by != Some(By::Hello) || fleet.newly_made() < FEWEST_NEW {
            return Some(whose);
        }
        let still = names.iter().filter(|(name, _)| after.has(name)).count();
        Some(match still {
            0 if names.len() == 1 => format!(
                "{whose}. It answers no new connection: it was stopped, replaced or taken out"
            ),
            0 => format!(
                "{whose}. None of these answers a new connection: they were stopped, replaced or taken out"
            ),
            still if still == names.len() => {
                let same = match still {
                    1 => "The same server still answers and was not started anew",
                    _ => "The same servers still answer and were not started anew",
                };
                format!("{whose}. {same}: what stands between, or the network, cut the connections")
            }
            still => format!("{whose}. {still} of these {} still answer", names.len()),
        })
    }

    fn moment(&self) -> Option<String> {
        Some(match self.fleet.moment()? {
            Moment::Instant => {
                "They were lost at one instant, as in a restart, a reload or a failover".into()
            }
            Moment::Rolling(servers) => format!(
                "The connections of each of {servers} servers were lost at one instant, one server after the other, as in a rolling update"
            ),
            Moment::Idle(time) => format!(
                "Each was silent for {} before: an idle timeout shorter than the second between two pings",
                seconds(time)
            ),
            Moment::Lifetime(time) => {
                format!("Each was {} old: a limit of the lifetime", seconds(time))
            }
            Moment::None if self.fleet.losses() == 1 => return None,
            Moment::None => "They have neither an instant nor an age in common".into(),
        })
    }

    fn gaps(&self) -> Option<String> {
        let fleet = self.fleet;
        let (worst, median) = (fleet.worst_gap?, fleet.median_gap()?);
        let not_back = match fleet.not_back {
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
        let fleet = self.fleet;
        let mut parts = Vec::new();
        if fleet.stalls > 0 {
            parts.push(format!(
                "{} over connections that held, up to {} after the one before",
                late(fleet.stalls),
                gap(fleet.longest_stall)
            ));
        }
        if fleet.waiting > 0 {
            parts.push(format!(
                "{} had waited for a reply at the end",
                counted(fleet.waiting, "connection")
            ));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    fn refusals(&self) -> Option<String> {
        let refused = &self.fleet.refused;
        match refused.total() {
            0 if self.fleet.losses() == 0 => None,
            0 => Some("No new connection was refused".into()),
            total => Some(format!(
                "{} of new connections ({})",
                counted(total, "refusal"),
                refused.words()
            )),
        }
    }

    /// How the load was before, and is after.
    fn load(&self) -> Option<String> {
        let fleet = self.fleet;
        let after = fleet.after();
        if after.instances() == 0 {
            return None;
        }
        let even = |shares: &Shares, is_even: bool| {
            let p = shares.p_value().map(probability).unwrap_or_default();
            match is_even {
                true => "even".to_owned(),
                false => format!(
                    "not even (chance alone does that in {p} of all cases, chi-square test)"
                ),
            }
        };
        let Some(before) = &fleet.before else {
            let is_even = fleet.is_even_after()?;
            return Some(format!("The load is {}: {}", even(&after, is_even), after.words()));
        };
        Some(match fleet.is_even_after() {
            None => format!("Before: {}; after: {}", before.words(), after.words()),
            Some(is_even) => format!(
                "The load after it is {}; before: {}; after: {}",
                even(&after, is_even),
                before.words(),
                after.words()
            ),
        })
    }

    fn bound(&self) -> Option<String> {
        let most = self.max_gap?;
        Some(match self.is_ok()? {
            true => format!("No gap was longer than {} (--max-gap)", gap(most)),
            false => format!("That is longer than {} (--max-gap)", gap(most)),
        })
    }
}

fn late(number: u64) -> String {
    if number == 1 { "1 reply came late".into() } else { format!("{number} replies came late") }
}

/// A gap, with two decimals below 10 s.
fn gap(time: Duration) -> String {
    match time.as_secs_f64() {
        time if time < 10.0 => format!("{time:.2} s"),
        time => format!("{time:.1} s"),
    }
}

#[cfg(test)]
mod tests;
