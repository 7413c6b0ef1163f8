//! What the server and the client agree on.
//!
//! The message and its reply ([`ping`]), the line that records it ([`mod@line`]), the paths
//! ([`path`]) and the numbers that bound both sides ([`limits`]). Nothing here does I/O, waits, or
//! reads a clock: time is an argument.

pub mod escape;
pub mod frame;
pub mod limits;
pub mod line;
pub mod path;
pub mod ping;

pub use line::Stamp;
pub use ping::{PONG, Ping};
