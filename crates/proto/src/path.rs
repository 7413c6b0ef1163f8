//! The paths of the server.

/// The ping/pong service (WebSocket); the page, for a plain GET.
pub const PING: &str = "/";

/// Echo: `[RE]: ` and the text (WebSocket).
pub const ECHO: &str = "/echo";

/// The name of the host that answers, and the text (WebSocket).
pub const HOST: &str = "/ws";

/// Each message as it came (WebSocket).
pub const MIRROR: &str = "/mirror";

/// The running total (WebSocket).
pub const TOTAL: &str = "/total";

/// The server's state as JSON, in return for any text (WebSocket).
pub const STATUS: &str = "/status";

/// What the server counts, for Prometheus (HTTP).
pub const METRICS: &str = "/metrics";

/// Whether the server can do its work (HTTP): 200, or 503 and the reason.
pub const HEALTH: &str = "/healthz";
