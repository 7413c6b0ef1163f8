//! Observation of the server: metrics, health, throttled warnings, and how full the server is.

mod clients;
mod errors;
mod health;
mod metrics;
mod occupancy;
mod peer;
mod text;

pub use clients::{Client, Clients, Known};
pub use errors::{Cause, Errors};
pub use health::Health;
pub use metrics::{Metrics, OpenConnection, ServiceMetrics, WorkerMetrics};
pub use occupancy::{Full, Occupancy, Place, network};
pub use peer::Peer;
pub use text::CONTENT_TYPE;

pub use crate::throttle::Throttle;
pub(crate) use crate::throttle::warn_throttled;
