//! The numbers that bound both sides. Those that a user may set are defaults here.

use std::time::Duration;

/// Largest message a peer may send, in bytes (`MAX_MESSAGE`).
pub const MAX_MESSAGE: usize = 64 * 1024;

/// Most memory for all messages that have not arrived in full, in bytes (`MAX_UNFINISHED`).
pub const MAX_UNFINISHED: usize = 32 * 1024 * 1024;

/// Largest message that a client takes from a server, in bytes. Replies may be longer than what
/// they answer, and servers may be set to larger messages.
pub const MAX_REPLY: usize = 16 * 1024 * 1024;

/// Time for a whole handshake, from the accepted connection to the upgrade.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a peer may leave what is written to it unread.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for a message from its first byte to its last, beside a second for each [`MESSAGE_PACE`].
pub const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a message that have to arrive in each further second.
pub const MESSAGE_PACE: usize = 64 * 1024;

/// Silence after which a peer is sent a protocol ping.
pub const PING_AFTER: Duration = Duration::from_secs(20);

/// Silence after which a peer counts as gone.
pub const CLOSE_AFTER: Duration = Duration::from_secs(60);

/// Time for a peer to answer a Close frame; then half as much to close the connection.
pub const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// Control frames that a peer may send within one second.
pub const CONTROL_FRAMES_PER_SECOND: u32 = 256;

/// Time for a client to reach a server and upgrade the connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
