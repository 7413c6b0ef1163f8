//! Limits of server and client. A limit that a setting can change is the default here.

use std::time::Duration;

/// Largest message a peer may send, in bytes (`MAX_MESSAGE`).
pub const MAX_MESSAGE: usize = 64 * 1024;

/// Limit on the memory of all messages that have not arrived completely, in bytes
/// (`MAX_UNFINISHED`).
pub const MAX_UNFINISHED: usize = 32 * 1024 * 1024;

/// Largest message that a client accepts from a server, in bytes: a reply may be longer than its
/// request, and a server may have a larger `MAX_MESSAGE`.
pub const MAX_REPLY: usize = 16 * 1024 * 1024;

/// Time limit for the handshakes of TLS and WebSocket together, from the accepted connection on.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a peer may leave written data unread.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit for a message from its first byte to its last, plus a second for each
/// [`MESSAGE_PACE`] bytes.
pub const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a message that extend its time limit by a second.
pub const MESSAGE_PACE: usize = 64 * 1024;

/// Silence after which the server sends a peer a Ping frame.
pub const PING_AFTER: Duration = Duration::from_secs(20);

/// Silence after which the server sends a client of `/probe` a Ping frame. The client's `idle` probe
/// looks for idle timeouts of proxies, which an earlier Ping frame would reset.
pub const PROBE_PING_AFTER: Duration = Duration::from_secs(3600);

/// Silence after which the server closes the connection to a peer.
pub const CLOSE_AFTER: Duration = Duration::from_secs(60);

/// Time for a peer to answer a Close frame; half as long again to close the TCP connection.
pub const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// Most control frames that a peer may send within one second.
pub const CONTROL_FRAMES_PER_SECOND: u32 = 256;

/// Time for a client to reach a server and upgrade the connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
