//! The WebSocket client: pings a server, talks to it, puts it under load, or probes the way to it.
//!
//! [`settings`] makes a [`Mode`] of the command line, with plain values as its options. The modes
//! depend neither on the command line nor on each other:
//!
//! - [`ping`] pings a server until a signal, through restarts and failures;
//! - [`talk`] sends lines and prints what comes back;
//! - [`mod@bench`] puts a server under load and measures it;
//! - [`probe`] holds the modes that find out what happens to a connection on its way.
//!
//! All modes connect with [`net`]: name look-up, TCP, TLS and the upgrade to WebSocket. An
//! [`outage`] is a time without an available server.
//!
//! The path of a ping: [`ping::run`] connects ([`net::connect`]) and runs a session
//! ([`ping::session`]), which sends a ping, waits for its reply, and pauses for `LAG_TIME`. The
//! results go to the reporter ([`ping::reporter`]): lines on stdout ([`stdout`]), counts
//! ([`ping::stats`]), and whether the server is up ([`ping::server_state`]). When the connection
//! ends ([`net::ending`]), the next one is opened after a pause ([`backoff`]).

pub mod backoff;
pub mod bench;
mod connection_report;
mod format;
mod mode;
pub mod net;
pub mod outage;
pub mod ping;
pub mod probe;
mod record;
pub mod settings;
pub mod stdout;
pub mod talk;
mod verdict;

pub use mode::Mode;
pub use settings::Settings;
pub use verdict::Verdict;
