//! The survey: opens the rounds of connections, and records which instances answer.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use hyper::header::{COOKIE, HeaderValue};
use rand::seq::SliceRandom;
use tokio::time::timeout;

use super::Options;
use super::round::{Attempt, Held, IN_FLIGHT, close, open, read_messages};
use super::sticky::KeyedConnections;
use super::verdict::{ByAddress, Observed};
use crate::connection_report::ConnectionReport;
use crate::format::counted;
use crate::net::Address;
use crate::net::source::Sources;
use crate::probe::connector::Connector;
use crate::probe::instances::choose;
use crate::probe::output::Printer;

/// Approximate number of connections that present cookies.
const WITH_COOKIES: usize = 32;

/// Most different cookies.
const COOKIES: usize = 8;

/// Most local addresses.
const ADDRESSES: usize = 16;

/// Connections from each of the local addresses.
const EACH: usize = 3;

/// Time for the first messages of servers when the survey ends early.
const LAST_MESSAGES: Duration = Duration::from_millis(300);

/// The state of the survey.
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

    /// Opens all rounds.
    pub(super) async fn run(&mut self) {
        self.open_rounds().await;
        self.observed.is_whole = true;
    }

    async fn open_rounds(&mut self) {
        self.connect_all().await;
        read_messages(&mut self.held, self.options.by.as_ref(), self.options.patience).await;
        self.name_instances();
        if self.observed.by.is_none() {
            return;
        }
        self.try_cookies().await;
        let Observed { shares: free, by_cookie, .. } = &self.observed;
        let is_by_cookie = by_cookie.as_ref().and_then(|keyed| keyed.is_sticky(free)) == Some(true);
        if free.instances() == 1 && !is_by_cookie {
            self.try_addresses().await;
        }
    }

    /// Prints and closes the connections. Returns what was observed.
    pub(super) async fn finish(mut self) -> Observed {
        if !self.observed.is_whole && self.observed.shares.total() == 0 {
            // The messages may have come, and are not read yet.
            let read =
                read_messages(&mut self.held, self.options.by.as_ref(), self.options.patience);
            let _ = timeout(LAST_MESSAGES, read).await;
            self.name_instances();
        }
        self.print().await;
        close(self.held.into_iter()).await;
        self.observed
    }

    async fn connect_all(&mut self) {
        let Self { options, printer, held, observed } = self;
        let sources = Sources::new(Vec::new(), options.connections);
        let connector = &Connector::new(options.endpoint.clone(), sources, Duration::ZERO);
        let source = options.sources.first().copied();
        let patience = options.patience;
        let attempt = |number| Attempt { connector, key: 0, number, source, patience };
        open((0..options.connections).map(attempt), |_, outcome| {
            match outcome {
                Ok(connection) => held.push(connection),
                Err(cause) => observed.refusals.add(cause.to_string()),
            }
            let refused = observed.refusals.total();
            let done = held.len() as u64 + refused;
            printer.live(format!(
                "{done} of {}, {refused} refused",
                counted(options.connections, "connection")
            ));
            // If the first connections all fail, no server is available.
            !held.is_empty() || (refused as usize) < IN_FLIGHT
        })
        .await;
    }

    /// Finds out what names the instances, and counts them.
    fn name_instances(&mut self) {
        let Self { options, held, observed, .. } = self;
        observed.answered = held.len() as u64;
        if options.by.is_none() {
            let answers: Vec<_> = held.iter().map(|held| held.evidence.clone()).collect();
            observed.by = choose(&answers);
        }
        let by = observed.by.as_ref();
        observed.shares = held.iter().filter_map(|held| held.instance(by)).collect();
        observed.header_names = held.first().map(header_names).unwrap_or_default();
        observed.sets_cookies = held.iter().any(|held| held.evidence.cookies().next().is_some());
    }

    /// Opens connections that present the cookies of the first answers, in random order: round robin
    /// must not look sticky.
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
        let connectors: Vec<_> = cookies.iter().map(|cookie| self.with_cookie(cookie)).collect();
        let source = self.options.sources.first().copied();
        let each = WITH_COOKIES / cookies.len();
        let with = |key: usize| (&connectors[key], source);
        self.observed.by_cookie = Some(self.keyed(cookies.len(), each, "cookies", with).await);
    }

    /// A connector that presents this cookie, behind those that the user gave.
    fn with_cookie(&self, cookie: &str) -> Connector {
        let mut endpoint = self.options.endpoint.clone();
        let headers = &mut endpoint.options.request.headers;
        let given = headers.get(COOKIE).and_then(|given| given.to_str().ok());
        let all = given.map_or(cookie.to_owned(), |given| format!("{given}; {cookie}"));
        // Always valid: the cookie came in a header.
        if let Ok(value) = HeaderValue::try_from(all) {
            headers.insert(COOKIE, value);
        }
        Connector::new(endpoint, Sources::default(), Duration::ZERO)
    }

    /// Opens connections from several addresses, in random order.
    async fn try_addresses(&mut self) {
        let addresses = self.addresses();
        if addresses.len() < 2 {
            self.observed.by_address = ByAddress::OneAddress;
            return;
        }
        let endpoint = self.options.endpoint.clone();
        let connector = &Connector::new(endpoint, Sources::default(), Duration::ZERO);
        let with = |key: usize| (connector, Some(addresses[key]));
        let keyed = self.keyed(addresses.len(), EACH, "addresses", with).await;
        self.observed.by_address = ByAddress::Addresses(keyed);
    }

    /// The local addresses to try: those of the options, or some of the loopback network.
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

    /// Opens `each` connections with each of so many keys, and holds them until the last one is open.
    /// `with` is how to present a key; `what` are the keys, in words.
    async fn keyed<'a>(
        &self,
        keys: usize,
        each: usize,
        what: &str,
        with: impl Fn(usize) -> (&'a Connector, Option<IpAddr>),
    ) -> KeyedConnections {
        let patience = self.options.patience;
        let mut order: Vec<_> = (0..keys * each).map(|number| number % keys).collect();
        order.shuffle(&mut rand::rng());
        let total = order.len();
        let attempts = (0..).zip(order).map(|(number, key)| {
            let (connector, source) = with(key);
            Attempt { connector, key, number, source, patience }
        });
        let (mut presented, mut held) = (Vec::new(), Vec::new());
        open(attempts, |key, outcome| {
            if let Ok(connection) = outcome {
                presented.push(key);
                held.push(connection);
            }
            let done = held.len();
            self.printer.live(format!("{done} of {total} connections with other {what}"));
            true
        })
        .await;
        let by = self.observed.by.as_ref();
        read_messages(&mut held, by, patience).await;
        let mut keyed = KeyedConnections { groups: vec![Vec::new(); keys] };
        for (key, connection) in presented.into_iter().zip(&held) {
            keyed.groups[key].extend(connection.instance(by));
        }
        close(held.into_iter()).await;
        keyed
    }

    /// Prints a record for each connection, and the shares.
    async fn print(&self) {
        let url = self.options.endpoint.url.to_string();
        for held in &self.held {
            let Held { link, at, .. } = held;
            let mut connection = ConnectionReport::new(link.address.to_string(), link.phases);
            let instance = held.instance(self.observed.by.as_ref());
            connection.instance = instance.as_deref().map(str::to_owned);
            let fields = connection.fields(&url, None);
            self.printer.record_at("connection", *at, &fields).await;
        }
        for line in self.observed.shares.lines() {
            self.printer.line(&line).await;
        }
    }
}

/// A loopback address. Several of its bytes differ from number to number: balancers that hash
/// addresses may leave the last byte out, or use little else.
fn loopback(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, number, number.wrapping_mul(37).max(1)).into()
}

fn header_names(held: &Held) -> Vec<String> {
    held.evidence.headers.keys().map(ToString::to_string).collect()
}
