//! The WebSocket ping/pong client.
//!
//! [`client`] is the loop that never gives a server up: it makes a connection ([`connect`], which
//! is a [`stream`] of TCP or of [`tls`]), pings over it ([`session`]) until it ends ([`ending`]),
//! and tries again after a pause ([`backoff`]). What comes of it goes to the [`record`]: lines on
//! stdout ([`output`]), the statistics ([`stats`]), and whether the server is there ([`link`]).
//!
//! [`interactive`] is another use of a connection: lines from stdin instead of pings. [`mod@bench`]
//! puts a server under load and measures it.

pub mod backoff;
pub mod bench;
pub mod client;
pub mod connect;
pub mod ending;
mod goodbye;
pub mod interactive;
pub mod link;
pub mod output;
pub mod record;
mod replica;
pub mod session;
pub mod settings;
pub mod stats;
pub mod stream;
pub mod tls;
pub mod url;

pub use client::run;
pub use settings::Settings;
