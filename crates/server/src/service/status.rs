//! Status: any text is answered with the state of the server as JSON, which the page shows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;

use super::{Answer, Reply, Service, State, seconds};
use crate::observe::{ClientCounts, Health, Metrics};

pub(super) const ABOUT: &str = "a text, any, is answered with the server's state as JSON";

/// Most clients in a report.
const MAX_CLIENTS: usize = 50;

/// How long a report is reused, so that frequent requests cost little.
const MAX_AGE: Duration = Duration::from_millis(100);

/// Makes the reports.
#[derive(Debug)]
pub struct Status {
    metrics: Arc<Metrics>,
    health: Health,
    /// The last report, as JSON, and when it was made.
    last: Mutex<Option<(Instant, String)>>,
}

#[derive(Serialize)]
struct Report<'a> {
    version: &'static str,
    host: &'a str,
    /// Seconds since the server started.
    uptime: f64,
    workers: usize,
    connections: usize,
    max_connections: usize,
    max_per_address: Option<usize>,
    services: Vec<ServiceReport>,
    pings: u64,
    total: String,
    healthy: bool,
    trouble: Option<String>,
    clients: Vec<ClientReport>,
    clients_left_out: usize,
}

#[derive(Serialize)]
struct ServiceReport {
    path: &'static str,
    open: u64,
    total: u64,
}

#[derive(Serialize)]
struct ClientReport {
    name: String,
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
            services: state
                .services()
                .map(|service| ServiceReport::new(service, metrics))
                .collect(),
            pings: metrics.pings(),
            total: state.total.to_string(),
            healthy: trouble.is_none(),
            trouble,
            clients: clients.into_iter().map(|client| ClientReport::new(client, uptime)).collect(),
            clients_left_out,
        }
    }
}

impl ServiceReport {
    fn new(service: Service, metrics: &Metrics) -> Self {
        Self {
            path: service.path(),
            open: metrics.sum(|worker| &worker.service(service.index()).open),
            total: metrics.sum(|worker| &worker.service(service.index()).opened),
        }
    }
}

impl ClientReport {
    fn new(client: ClientCounts, uptime: Duration) -> Self {
        let ClientCounts { name, pings, last } = client;
        Self { name: String::from(&*name), pings, idle: seconds(uptime.saturating_sub(last)) }
    }
}

pub(super) fn answer<'a>(_: &'a str, state: &State) -> Result<Answer<'a>, String> {
    json(state).map(|json| Answer::Reply(Reply::text(json)))
}

/// The state of the server as JSON.
///
/// # Errors
/// When the state cannot be serialized.
pub(super) fn json(state: &State) -> Result<String, String> {
    let mut last = state.status.last.lock();
    if let Some((at, json)) = &*last
        && at.elapsed() < MAX_AGE
    {
        return Ok(json.clone());
    }
    let json = serde_json::to_string(&state.status.report(state))
        .map_err(|error| format!("the state cannot be told: {error}"))?;
    *last = Some((Instant::now(), json.clone()));
    Ok(json)
}
