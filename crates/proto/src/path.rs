//! The paths of the server.

/// The ping/pong service (WebSocket); the page, for a plain GET.
pub const PING: &str = "/";

/// Echo: `[RE]: ` and the text (WebSocket).
pub const ECHO: &str = "/echo";

/// Echo with the host name: `[HOSTNAME] ` and the text (WebSocket).
pub const HOST: &str = "/ws";

/// Echo of each message, unchanged (WebSocket).
pub const MIRROR: &str = "/mirror";

/// The running total (WebSocket).
pub const TOTAL: &str = "/total";

/// The state of the server as JSON, in reply to any text (WebSocket).
pub const STATUS: &str = "/status";

/// The other half of the probes of the client (WebSocket).
pub const PROBE: &str = "/probe";

/// The metrics of the server, for Prometheus (HTTP).
pub const METRICS: &str = "/metrics";

/// The health check (HTTP): 200, or 503 and the reason.
pub const HEALTH: &str = "/healthz";
