//! The paths of the server.

/// The ping/pong service (WebSocket).
pub const PING: &str = "/";

/// Whether the server can do its work (HTTP): 200, or 503 and the reason.
pub const HEALTH: &str = "/healthz";
