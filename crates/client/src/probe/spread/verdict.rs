//! The verdict on the balancer, as text and JSON fields.

use serde::Serialize;

use super::sticky::KeyedConnections;
use crate::format::{counted, percent, plural};
use crate::net::error::SEE_WHY;
use crate::probe::instances::NameSource;
use crate::probe::instances::chi_square::{FEWEST_EACH, SIGNIFICANT};
use crate::probe::instances::shares::{Shares, probability, shown};
use crate::probe::output::{Finding, joined};
use crate::probe::refusals::Refusals;

/// The observations of the connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Observed {
    /// Connections that were asked for.
    pub(super) asked: u64,
    /// Connections that could be opened.
    pub(super) answered: u64,
    /// Connections that could not be opened.
    pub(super) refusals: Refusals,
    /// Whether no round was cut short.
    pub(super) is_whole: bool,
    /// The part of the answers that names the instances.
    pub(super) by: Option<NameSource>,
    /// The instances of the first round.
    pub(super) shares: Shares,
    /// Whether the answers set cookies.
    pub(super) sets_cookies: bool,
    /// Connections that presented cookies.
    pub(super) by_cookie: Option<KeyedConnections>,
    /// Connections from several local addresses.
    pub(super) by_address: ByAddress,
    /// Fewest instances that have to answer.
    pub(super) expect: u64,
    /// Names of the headers of one answer.
    pub(super) header_names: Vec<String>,
}

/// The connections from several local addresses.
#[derive(Clone, Debug, Default)]
pub(super) enum ByAddress {
    /// Not opened: there was no need for them.
    #[default]
    Untried,
    /// Not opened: no second address is known from which the server can be reached.
    OneAddress,
    Addresses(KeyedConnections),
}

/// How connections spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Pattern {
    /// Chance explains the differences.
    Even,
    /// Chance does not explain the differences.
    Skewed,
    /// One instance answered all.
    One,
}

/// What a client has to present to reach the same instance again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sticky {
    Address,
    Cookie,
}

/// The fields of the verdict in JSON.
#[derive(Debug, Serialize)]
pub(super) struct Fields {
    connections: u64,
    refused: u64,
    shares: Shares,
    pattern: Option<Pattern>,
    p_value: Option<f64>,
    sticky: Option<Sticky>,
    by: Option<String>,
    instances: usize,
}

impl Observed {
    fn pattern(&self) -> Option<Pattern> {
        match (self.shares.instances(), self.shares.p_value()) {
            (0, _) => None,
            (_, Some(p)) if p < SIGNIFICANT => Some(Pattern::Skewed),
            (_, Some(_)) => Some(Pattern::Even),
            (_, None) => Some(Pattern::One),
        }
    }

    fn sticky(&self) -> Option<Sticky> {
        let is_sticky = |keyed: &&KeyedConnections| keyed.is_sticky(&self.shares) == Some(true);
        if self.by_cookie.as_ref().filter(is_sticky).is_some() {
            return Some(Sticky::Cookie);
        }
        self.with_addresses().filter(is_sticky).map(|_| Sticky::Address)
    }

    fn with_addresses(&self) -> Option<&KeyedConnections> {
        match &self.by_address {
            ByAddress::Addresses(keyed) => Some(keyed),
            _ => None,
        }
    }

    /// All instances that answered, with the connections of the first round.
    fn all(&self) -> Shares {
        let mut all = self.shares.clone();
        for keyed in self.by_cookie.iter().chain(self.with_addresses()) {
            keyed.groups.iter().flatten().for_each(|instance| all.add_instance(instance));
        }
        all
    }

    fn is_ok(&self) -> Option<bool> {
        let pattern = match (self.answered, self.refusals.total()) {
            (0, 0) => return None,
            (0, _) => return Some(false),
            _ => self.pattern()?,
        };
        if pattern == Pattern::Skewed || self.refusals.total() > 0 {
            return Some(false);
        }
        match self.all().instances() as u64 >= self.expect {
            true => Some(true),
            // Further connections might have found further servers.
            false => self.is_whole.then_some(false),
        }
    }

    fn sentences(&self) -> Vec<String> {
        let sentences = match self.pattern() {
            _ if self.answered == 0 && self.refusals.total() == 0 => {
                vec!["stopped before a server answered".into()]
            }
            _ if self.answered == 0 => {
                vec!["no connection could be made".into(), self.refused(), SEE_WHY.into()]
            }
            None => vec![self.unnamed(), self.refused(), self.cut_short()],
            Some(pattern) => vec![
                self.spread(pattern),
                self.stickiness(pattern),
                self.missing(),
                self.refused(),
                self.cut_short(),
            ],
        };
        sentences.into_iter().filter(|text| !text.is_empty()).collect()
    }

    fn spread(&self, pattern: Pattern) -> String {
        let total = self.shares.total();
        let connections = counted(total, "connection");
        let servers = counted(self.shares.instances() as u64, "server");
        let by = self.by.as_ref().map(NameSource::words).unwrap_or_default();
        let sorted = self.shares.sorted();
        let (Some(most), Some(fewest)) = (sorted.first(), sorted.last()) else {
            return String::new();
        };
        let p = probability(self.shares.p_value().unwrap_or(1.0));
        match pattern {
            Pattern::Even => {
                let few = self.too_few();
                format!(
                    "even: {connections} went to {servers}, told apart by {by}; chance alone spreads them at least as unevenly in {p} of all cases (chi-square test){few}"
                )
            }
            Pattern::Skewed => format!(
                "skewed: {connections} went to {servers}, told apart by {by}: {}% to {}, {}% to {}; chance alone spreads them so unevenly in {p} of all cases (chi-square test)",
                percent(most.1, total),
                shown(most.0),
                percent(fewest.1, total),
                shown(fewest.0)
            ),
            Pattern::One => {
                let hint = match self.by {
                    Some(NameSource::Greeting) => {
                        " (servers with the same host name look like one there; /probe tells them apart)"
                    }
                    _ => "",
                };
                format!("one only: {} answered all {connections}, by {by}{hint}", shown(most.0))
            }
        }
    }

    /// A hint if there are too few connections for the test to detect a moderate skew.
    fn too_few(&self) -> String {
        let needed = FEWEST_EACH * self.shares.instances() as u64;
        match self.shares.total() < needed {
            true => format!("; so few show a strong skew only: try -n {}", needed * 10),
            false => String::new(),
        }
    }

    fn stickiness(&self, pattern: Pattern) -> String {
        let sticky = self.sticky();
        match (sticky, &self.by_cookie, &self.by_address) {
            (Some(Sticky::Cookie), Some(keyed), _) => format!(
                "Sticky by cookie: of {} with {} that the server had set, all with the same one went to the same server",
                counted(keyed.connections(), "connection"),
                counted(keyed.keys(), "different cookie")
            ),
            (Some(Sticky::Address), _, ByAddress::Addresses(keyed)) => format!(
                "Sticky by address: {} from {} of this machine went to {}, and all from the same address to the same one",
                counted(keyed.connections(), "connection"),
                plural(keyed.keys(), "address", "addresses"),
                counted(keyed.shares().instances() as u64, "server")
            ),
            (_, _, ByAddress::Addresses(keyed)) if keyed.shares().instances() > 1 => format!(
                "Connections from {} of this machine went to {}, but not each address to one server",
                plural(keyed.keys(), "address", "addresses"),
                counted(keyed.shares().instances() as u64, "server")
            ),
            (_, _, ByAddress::Addresses(keyed)) if keyed.keys() < 2 => {
                "There is one server, or the balancer goes by the address of the client: too few connections from other addresses could be made to tell".into()
            }
            (_, _, ByAddress::Addresses(keyed)) => format!(
                "Connections from {} of this machine went there as well: there is one server, or the balancer sends everything to it",
                plural(keyed.keys(), "address", "addresses")
            ),
            (_, _, ByAddress::OneAddress) => "There is one server, or the balancer goes by the address of the client: that cannot be told from one address (--source takes several of this machine; or run it elsewhere as well)".into(),
            (None, Some(keyed), _) if pattern != Pattern::One && keyed.is_sticky(&self.shares) == Some(false) => {
                "Not sticky: neither the address nor the cookies that the server sets decide".into()
            }
            (None, None, _) if pattern != Pattern::One => match self.sets_cookies {
                true => "Not sticky by address".into(),
                false => "Not sticky by address, and the server sets no cookie".into(),
            },
            _ => String::new(),
        }
    }

    /// Servers that were expected and did not answer, and answers that name no server.
    fn missing(&self) -> String {
        let instances = self.all().instances() as u64;
        let nameless = self.answered - self.shares.total();
        let mut parts = Vec::new();
        if instances < self.expect && self.expect > 2 {
            parts.push(format!("{instances} of {} expected servers answered", self.expect));
        }
        if nameless > 0 {
            parts.push(format!("{} did not name a server", counted(nameless, "answer")));
        }
        parts.join("; ")
    }

    /// Why the servers cannot be told apart, and what would help.
    fn unnamed(&self) -> String {
        let headers = match self.header_names.join(", ") {
            headers if headers.is_empty() => "none".into(),
            headers => shown(&headers),
        };
        match &self.by {
            Some(by) => format!(
                "none of {} has {} that names a server; the headers of an answer are: {headers}",
                counted(self.answered, "answer"),
                by.words()
            ),
            None => format!(
                "{} answered, and nothing in the answers tells servers apart: ask this project's server at /probe, or say what names a server with --by; the headers of an answer are: {headers}{}",
                counted(self.answered, "connection"),
                if self.sets_cookies { "; each cookie is another one" } else { "" }
            ),
        }
    }

    fn refused(&self) -> String {
        match self.refusals.total() {
            0 => String::new(),
            refused => {
                format!("{} refused ({})", counted(refused, "connection"), self.refusals.words())
            }
        }
    }

    fn cut_short(&self) -> String {
        let tried = self.answered + self.refusals.total();
        match self.is_whole {
            true => String::new(),
            false if tried < self.asked => format!("That is after {tried} of {}", self.asked),
            false => "That is before all connections were opened that show stickiness".into(),
        }
    }
}

/// The verdict.
pub(super) fn finding(observed: &Observed, is_json: bool) -> Finding<Fields> {
    let text = joined(&observed.sentences(), is_json);
    let fields = Fields {
        connections: observed.answered,
        refused: observed.refusals.total(),
        shares: observed.shares.clone(),
        pattern: observed.pattern(),
        p_value: observed.shares.p_value(),
        sticky: observed.sticky(),
        by: observed.by.as_ref().map(ToString::to_string),
        instances: observed.all().instances(),
    };
    Finding { probe: "spread", ok: observed.is_ok(), text, fields }
}

#[cfg(test)]
mod tests;
