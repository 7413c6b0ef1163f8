//! What the connections say about the balancer.

use serde::Serialize;

use super::sticky::Trial;
use crate::net::ConnectError;
use crate::probe::crowd::causes::Causes;
use crate::probe::crowd::chance::{FEWEST_EACH, SIGNIFICANT};
use crate::probe::crowd::instance::By;
use crate::probe::crowd::sentences::joined;
use crate::probe::crowd::shares::{Share, Shares, probability, shown};
use crate::probe::report::Finding;
use crate::words::{counted, percent};

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Observed {
    /// Connections that were asked for.
    pub(super) asked: u64,
    /// Connections that were made.
    pub(super) answered: u64,
    /// Connections that could not be made.
    pub(super) refused: u64,
    /// Why they could not.
    pub(super) causes: Causes,
    /// Whether all connections were tried.
    pub(super) is_whole: bool,
    /// What names the instances.
    pub(super) by: Option<By>,
    /// How the connections spread.
    pub(super) shares: Shares,
    /// Whether the answers set cookies.
    pub(super) sets_cookies: bool,
    /// Connections with cookies.
    pub(super) cookies: Option<Trial>,
    /// Connections from other addresses.
    pub(super) reach: Reach,
    /// Fewest instances that are to answer.
    pub(super) expect: u64,
    /// Names of the headers of an answer.
    pub(super) shown: Vec<String>,
}

/// Whether connections could be made from several addresses.
#[derive(Clone, Debug, Default)]
pub(super) enum Reach {
    /// There was no need.
    #[default]
    Untried,
    /// This machine has one address towards the server, as far as the client knows.
    OneAddress,
    /// There are several.
    Addresses(Trial),
}

/// How connections spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Pattern {
    /// Chance explains the differences.
    Even,
    /// Chance does not.
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
    shares: Vec<Share>,
    pattern: Option<Pattern>,
    p_value: Option<f64>,
    sticky: Option<Sticky>,
    by: Option<String>,
    instances: usize,
}

impl Observed {
    /// Counts a connection that could not be made.
    pub(super) fn refuse(&mut self, cause: &ConnectError) {
        self.refused += 1;
        self.causes.add(cause.to_string());
    }

    fn pattern(&self) -> Option<Pattern> {
        match (self.shares.instances(), self.shares.p_value()) {
            (0, _) => None,
            (_, Some(p)) if p < SIGNIFICANT => Some(Pattern::Skewed),
            (_, Some(_)) => Some(Pattern::Even),
            (_, None) => Some(Pattern::One),
        }
    }

    fn sticky(&self) -> Option<Sticky> {
        let is_sticky = |trial: &Trial| trial.is_sticky(&self.shares) == Some(true);
        if self.cookies.as_ref().is_some_and(is_sticky) {
            return Some(Sticky::Cookie);
        }
        matches!(&self.reach, Reach::Addresses(trial) if is_sticky(trial))
            .then_some(Sticky::Address)
    }

    /// All connections whose instance is known.
    fn all(&self) -> Shares {
        let mut all = self.shares.clone();
        let mut know = |trial: &Trial| {
            trial.shares().sorted().iter().for_each(|(instance, _)| all.know(instance));
        };
        self.cookies.iter().for_each(&mut know);
        if let Reach::Addresses(trial) = &self.reach {
            know(trial);
        }
        all
    }

    fn is_ok(&self) -> Option<bool> {
        let pattern = match (self.answered, self.refused) {
            (0, 0) => return None,
            (0, _) => return Some(false),
            _ => self.pattern()?,
        };
        let are_enough = self.all().instances() as u64 >= self.expect;
        Some(pattern != Pattern::Skewed && are_enough && self.refused == 0)
    }

    fn sentences(&self) -> Vec<String> {
        let sentences = match self.pattern() {
            _ if self.answered == 0 && self.refused == 0 => {
                vec!["stopped before a server answered".into()]
            }
            _ if self.answered == 0 => vec!["no connection could be made".into(), self.refusals()],
            None => vec![self.unnamed(), self.refusals()],
            Some(pattern) => vec![
                self.spread(pattern),
                self.stickiness(pattern),
                self.missing(),
                self.refusals(),
                self.cut_short(),
            ],
        };
        sentences.into_iter().filter(|text| !text.is_empty()).collect()
    }

    fn spread(&self, pattern: Pattern) -> String {
        let total = self.shares.total();
        let connections = counted(total, "connection");
        let servers = counted(self.shares.instances() as u64, "server");
        let by = self.by.as_ref().map(By::words).unwrap_or_default();
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
                    Some(By::Greeting) => {
                        " (servers with the same host name look like one there; /probe tells them apart)"
                    }
                    _ => "",
                };
                format!("one only: {} answered all {connections}, by {by}{hint}", shown(most.0))
            }
        }
    }

    /// A hint where the test can hardly see a skew.
    fn too_few(&self) -> String {
        let needed = FEWEST_EACH * self.shares.instances() as u64;
        match self.shares.total() < needed {
            true => format!("; so few show a strong skew only: try -n {}", needed * 10),
            false => String::new(),
        }
    }

    fn stickiness(&self, pattern: Pattern) -> String {
        let sticky = self.sticky();
        match (sticky, &self.cookies, &self.reach) {
            (Some(Sticky::Cookie), Some(trial), _) => format!(
                "Sticky by cookie: of {} with {} that the server had set, all with the same one went to the same server",
                counted(trial.connections(), "connection"),
                counted(trial.keys(), "different cookie")
            ),
            (Some(Sticky::Address), _, Reach::Addresses(trial)) => format!(
                "Sticky by address: {} from {} of this machine went to {}, and all from the same address to the same one",
                counted(trial.connections(), "connection"),
                addresses(trial.keys()),
                counted(trial.shares().instances() as u64, "server")
            ),
            (_, _, Reach::Addresses(trial)) if trial.shares().instances() > 1 => format!(
                "Connections from {} of this machine went to {}, but not each address to one server",
                addresses(trial.keys()),
                counted(trial.shares().instances() as u64, "server")
            ),
            (_, _, Reach::Addresses(trial)) if trial.keys() < 2 => {
                "There is one server, or the balancer goes by the address of the client: too few connections from other addresses could be made to tell".into()
            }
            (_, _, Reach::Addresses(trial)) => format!(
                "Connections from {} of this machine went there as well: there is one server, or the balancer sends everything to it",
                addresses(trial.keys())
            ),
            (_, _, Reach::OneAddress) => "There is one server, or the balancer goes by the address of the client: that cannot be told from one address (--source takes several of this machine; or run it elsewhere as well)".into(),
            (None, Some(trial), _) if pattern != Pattern::One && trial.is_sticky(&self.shares) == Some(false) => {
                "Not sticky: neither the address nor the cookies that the server sets decide".into()
            }
            (None, None, _) if pattern != Pattern::One => {
                "Not sticky by address, and the server sets no cookie".into()
            }
            _ => String::new(),
        }
    }

    /// What is missing of the servers that were expected, and of their names.
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

    /// Why the servers cannot be told apart.
    fn unnamed(&self) -> String {
        let headers = match self.shown.join(", ") {
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

    fn refusals(&self) -> String {
        match self.refused {
            0 => String::new(),
            refused => {
                format!("{} refused ({})", counted(refused, "connection"), self.causes.words())
            }
        }
    }

    fn cut_short(&self) -> String {
        match self.is_whole {
            true => String::new(),
            false => format!("That is after {} of {}", self.answered + self.refused, self.asked),
        }
    }
}

fn addresses(number: u64) -> String {
    if number == 1 { "1 address".into() } else { format!("{number} addresses") }
}

/// The verdict, for a program or a person.
pub(super) fn finding(observed: &Observed, is_json: bool) -> Finding<Fields> {
    let text = joined(&observed.sentences(), is_json);
    let fields = Fields {
        connections: observed.answered,
        refused: observed.refused,
        shares: observed.shares.fields(),
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
