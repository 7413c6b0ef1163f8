//! Status: the state of the server as JSON, in reply to any text. The page reads it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};

use super::{Answer, Reply, Service, State};
use crate::observe::{Health, Known, Metrics};

pub(super) const ABOUT: &str = "a text, any, is answered with the server's state as JSON";

/// Most clients in the report.
const MAX_CLIENTS: usize = 50;

/// How long a report is reused, so that frequent requests cost little.
const FRESH: Duration = Duration::from_millis(100);

/// Makes the reports.
#[derive(Debug)]
pub struct Status {
    metrics: Arc<Metrics>,
    health: Health,
    last: Mutex<Option<(Instant, String)>>,
}

#[derive(Serialize)]
struct Report<'a> {
    version: &'static str,
    host: &'a str,
    /// In seconds.
    uptime: f64,
    workers: usize,
    connections: usize,
    max_connections: usize,
    max_per_address: Option<usize>,
    services: Vec<OneService>,
    pings: u64,
    total: String,
    healthy: bool,
    trouble: Option<String>,
    clients: Vec<OneClient>,
    clients_left_out: usize,
}

#[derive(Serialize)]
struct OneService {
    path: &'static str,
    open: u64,
    total: u64,
}

#[derive(Serialize)]
struct OneClient {
    #[serde(serialize_with = "text")]
    name: Arc<str>,
    pings: u64,
    /// Seconds since the last ping.
    idle: f64,
}

impl Status {
    pub(super) fn new(metrics: Arc<Metrics>, health: Health) -> Self {
        Self { metrics, health, last: Mutex::default() }
    }

    fn report<'a>(&self, state: &'a State) -> Report<'a> {
        let metrics = &*self.metrics;
        let uptime = metrics.started.elapsed();
        let mut clients = metrics.clients();
        let clients_left_out = clients.len().saturating_sub(MAX_CLIENTS);
        clients.truncate(MAX_CLIENTS);
        let trouble = self.health.check().err();
        Report {
            version: env!("CARGO_PKG_VERSION"),
            host: &state.host,
            uptime: seconds(uptime),
            workers: metrics.workers().len(),
            connections: metrics.occupancy.taken(),
            max_connections: metrics.occupancy.max(),
            max_per_address: metrics.occupancy.max_per_address(),
            services: state.services().map(|service| OneService::new(service, metrics)).collect(),
            pings: metrics.pings(),
            total: state.total.to_string(),
            healthy: trouble.is_none(),
            trouble,
            clients: clients.into_iter().map(|client| OneClient::new(client, uptime)).collect(),
            clients_left_out,
        }
    }
}

impl OneService {
    fn new(service: Service, metrics: &Metrics) -> Self {
        Self {
            path: service.path(),
            open: metrics.sum(|worker| &worker.service(service.index()).open),
            total: metrics.sum(|worker| &worker.service(service.index()).opened),
        }
    }
}

impl OneClient {
    fn new(client: Known, uptime: Duration) -> Self {
        let Known { name, pings, last } = client;
        Self { name, pings, idle: seconds(uptime.saturating_sub(last)) }
    }
}

fn text<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// Seconds, to the millisecond.
fn seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1000.0
}

pub(super) fn answer<'a>(_: &'a str, state: &State) -> Result<Answer<'a>, String> {
    json(state).map(|json| Reply::text(json).into())
}

/// The state of the server as JSON.
///
/// # Errors
/// When it cannot be serialized.
pub(super) fn json(state: &State) -> Result<String, String> {
    let mut last = state.status.last.lock().unwrap_or_else(PoisonError::into_inner);
    let is_fresh = |(at, _): &&(Instant, String)| at.elapsed() < FRESH;
    if let Some((_, json)) = last.as_ref().filter(is_fresh) {
        return Ok(json.clone());
    }
    let json = serde_json::to_string(&state.status.report(state))
        .map_err(|error| format!("the state cannot be told: {error}"))?;
    *last = Some((Instant::now(), json.clone()));
    Ok(json)
}
