//! Observation of the server: metrics and health.

mod clients;
mod errors;
mod health;
mod metrics;
mod text;

pub use clients::{Client, ClientCounts, Clients};
pub use errors::{Cause, Errors};
pub use health::Health;
pub use metrics::{Metrics, OpenConnection, ServiceMetrics, WorkerMetrics};
pub use text::CONTENT_TYPE;
