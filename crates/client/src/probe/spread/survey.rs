//! The rounds of connections, and what they show.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use hyper::header::{COOKIE, HeaderValue};
use rand::seq::SliceRandom;

use super::Options;
use super::round::{Call, Held, IN_FLIGHT, close, make, read_messages};
use super::sticky::Trial;
use super::verdict::{Observed, Reach};
use crate::connection::Connection;
use crate::net::source::Sources;
use crate::net::{Address, ConnectError};
use crate::probe::crowd::instance::choose;
use crate::probe::crowd::way::Way;
use crate::probe::report::Printer;
use crate::words::counted;

/// Connections that present cookies, about.
const WITH_COOKIES: usize = 32;

/// Most different cookies.
const COOKIES: usize = 8;

/// Most local addresses.
const ADDRESSES: usize = 16;

/// Connections from each of the local addresses.
const EACH: usize = 3;

/// The rounds, as far as they went.
pub(super) struct Survey {
    options: Options,
    printer: Printer,
    held: Vec<Held>,
    observed: Observed,
}

impl Survey {
    pub(super) fn new(options: Options, printer: Printer) -> Self {
        let Options { by, expect, connections, .. } = &options;
        let observed = Observed {
            by: by.clone(),
            expect: *expect,
            asked: *connections,
            ..Observed::default()
        };
        Self { options, printer, held: Vec::new(), observed }
    }

    /// Makes all rounds.
    pub(super) async fn run(&mut self) {
        self.connect_all().await;
        read_messages(&mut self.held, self.options.by.as_ref(), self.options.patience).await;
        self.name_instances();
        if self.observed.by.is_none() {
            return;
        }
        self.try_cookies().await;
        let free = &self.observed.shares;
        let is_by_cookie =
            self.observed.cookies.as_ref().and_then(|trial| trial.is_sticky(free)) == Some(true);
        if free.instances() == 1 && !is_by_cookie {
            self.try_addresses().await;
        }
    }

    /// Closes the connections. Returns what was seen.
    pub(super) async fn finish(mut self) -> Observed {
        if self.observed.shares.total() == 0 {
            // It ended early.
            self.name_instances();
        }
        self.print().await;
        close(self.held.into_iter()).await;
        self.observed
    }

    async fn connect_all(&mut self) {
        let Self { options, printer, held, observed } = self;
        let sources = Sources::new(Vec::new(), options.connections);
        let way = Way::new(options.endpoint.clone(), sources, Duration::ZERO);
        let source = options.sources.first().copied();
        let patience = options.patience;
        let call = |number| Call { way: &way, key: 0, number, source, patience };
        make((0..options.connections).map(call), |_, outcome| {
            match outcome {
                Ok(connection) => held.push(connection),
                Err(cause) => observed.refuse(&cause),
            }
            let done = held.len() as u64 + observed.refused;
            let refused = observed.refused;
            printer.live(format!(
                "{done} of {}, {refused} refused",
                counted(options.connections, "connection")
            ));
            // Where nobody is, the rest would wait in vain.
            !held.is_empty() || (refused as usize) < IN_FLIGHT
        })
        .await;
        observed.is_whole = held.len() as u64 + observed.refused == options.connections;
    }

    /// Finds out what names the instances, and counts them.
    fn name_instances(&mut self) {
        let Self { options, held, observed, .. } = self;
        observed.answered = held.len() as u64;
        if options.by.is_none() {
            let answers: Vec<_> = held.iter().map(|held| held.evidence.clone()).collect();
            observed.by = choose(&answers);
        }
        let instances = held.iter().filter_map(|held| held.instance(observed.by.as_ref()));
        instances.for_each(|instance| observed.shares.add(&instance));
        observed.shown = held.first().map(|held| header_names(held)).unwrap_or_default();
        observed.sets_cookies = held.iter().any(|held| held.evidence.cookies().next().is_some());
    }

    /// Connections that present the cookies of the first answers, in any order: a balancer that
    /// takes servers in turn must not look sticky.
    async fn try_cookies(&mut self) {
        let mut cookies: Vec<String> = Vec::new();
        for held in &self.held {
            let pairs = held.evidence.cookies().map(|(name, value)| format!("{name}={value}"));
            let cookie = pairs.collect::<Vec<_>>().join("; ");
            if cookies.len() < COOKIES && !cookie.is_empty() && !cookies.contains(&cookie) {
                cookies.push(cookie);
            }
        }
        if cookies.is_empty() {
            return;
        }
        let ways: Vec<_> = cookies.iter().map(|cookie| self.way_with(cookie)).collect();
        let source = self.options.sources.first().copied();
        let each = WITH_COOKIES / cookies.len();
        let keys = shuffled(cookies.len(), each);
        let trial = self.attempt(keys, cookies.len(), "cookies", |key| (&ways[key], source)).await;
        self.observed.cookies = Some(trial);
    }

    /// The way of a visitor who presents this cookie, behind those that the user gave.
    fn way_with(&self, cookie: &str) -> Way {
        let mut endpoint = self.options.endpoint.clone();
        let headers = &mut endpoint.options.request.headers;
        let given = headers.get(COOKIE).and_then(|given| given.to_str().ok());
        let all = given.map_or(cookie.to_owned(), |given| format!("{given}; {cookie}"));
        // A cookie that came in a header fits into one.
        if let Ok(value) = HeaderValue::try_from(all) {
            headers.insert(COOKIE, value);
        }
        Way::new(endpoint, Sources::default(), Duration::ZERO)
    }

    /// Connections from several addresses, in any order.
    async fn try_addresses(&mut self) {
        let addresses = self.addresses();
        if addresses.len() < 2 {
            self.observed.reach = Reach::OneAddress;
            return;
        }
        let way = Way::new(self.options.endpoint.clone(), Sources::default(), Duration::ZERO);
        let keys = shuffled(addresses.len(), EACH);
        let trial =
            self.attempt(keys, addresses.len(), "addresses", |key| (&way, Some(addresses[key])));
        let trial = trial.await;
        self.observed.reach = Reach::Addresses(trial);
    }

    /// The local addresses to try: those that were given, or some of a loopback network.
    fn addresses(&self) -> Vec<IpAddr> {
        if !self.options.sources.is_empty() {
            return self.options.sources.iter().copied().take(ADDRESSES).collect();
        }
        let target = self.held.first().map(|held| &held.link.address);
        let is_loopback = matches!(target, Some(Address::Tcp(address))
            if address.ip().is_ipv4() && address.ip().is_loopback());
        match is_loopback && !self.options.endpoint.is_proxied() {
            true => (1..=ADDRESSES as u8).map(loopback).collect(),
            false => Vec::new(),
        }
    }

    /// Makes connections with these keys; each is held until the last one is there.
    async fn attempt<'a>(
        &self,
        keys: Vec<usize>,
        groups: usize,
        what: &str,
        how: impl Fn(usize) -> (&'a Way, Option<IpAddr>),
    ) -> Trial {
        let patience = self.options.patience;
        let total = keys.len();
        let calls = (0..).zip(keys).map(|(number, key)| {
            let (way, source) = how(key);
            Call { way, key, number, source, patience }
        });
        let (mut numbers, mut held) = (Vec::new(), Vec::new());
        make(calls, |key, outcome: Result<Held, ConnectError>| {
            if let Ok(connection) = outcome {
                numbers.push(key);
                held.push(connection);
            }
            let done = held.len();
            self.printer.live(format!("{done} of {total} connections with other {what}"));
            true
        })
        .await;
        let by = self.observed.by.as_ref();
        read_messages(&mut held, by, patience).await;
        let mut trial = Trial { groups: vec![Vec::new(); groups] };
        for (key, connection) in numbers.into_iter().zip(&held) {
            trial.groups[key].extend(connection.instance(by));
        }
        close(held.into_iter()).await;
        trial
    }

    /// Prints a record for each connection, and the shares.
    async fn print(&self) {
        let url = self.options.endpoint.url.to_string();
        for held in &self.held {
            let instance = held.instance(self.observed.by.as_ref());
            let Held { link, at, .. } = held;
            let connection = Connection::new(link.address.to_string(), link.phases);
            let fields = connection.fields_of(&url, None, instance.as_deref());
            self.printer.record_at("connection", *at, &fields).await;
        }
        for line in self.observed.shares.lines() {
            self.printer.line(&line).await;
        }
    }
}

/// Each of the keys so many times, in any order.
fn shuffled(keys: usize, each: usize) -> Vec<usize> {
    let mut order: Vec<_> = (0..keys * each).map(|number| number % keys).collect();
    order.shuffle(&mut rand::rng());
    order
}

/// An address of the loopback network. Balancers that hash addresses may leave the last byte out,
/// or look at little else.
fn loopback(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, number, number.wrapping_mul(37).max(1)).into()
}

fn header_names(held: &Held) -> Vec<String> {
    held.evidence.headers.keys().map(ToString::to_string).collect()
}
