//! The WebSocket client: pings a server, talks to it, or puts it under load.
//!
//! [`settings`] reads the command line and makes a [`Mode`] of it: what to do, as plain values.
//! The modes know nothing of the command line, and nothing of each other:
//!
//! - [`ping`] pings a server for ever, through restarts and failures;
//! - [`talk`] sends lines and prints what comes back;
//! - [`mod@bench`] puts a server under load and measures it;
//! - the [`probe`]s say what happens to a connection on its way.
//!
//! All of them reach the server through [`net`]: name, addresses, TLS and the upgrade to WebSocket.
//! A time in which the server was not there is an [`outage`].
//! The way of a ping: [`ping::run`] connects ([`net::connect`]) and runs a session
//! ([`ping::session`]), which sends a ping, waits for its reply, and rests for `LAG_TIME`. What
//! comes of it goes to the reporter ([`ping::reporter`]): lines on stdout ([`stdout`]), counts
//! ([`ping::stats`]), and whether the server is there ([`ping::link`]). When the connection ends
//! ([`net::ending`]), the next one is made after a pause ([`backoff`]).

pub mod backoff;
pub mod bench;
mod connection;
mod mode;
pub mod net;
pub mod outage;
pub mod ping;
pub mod probe;
mod record;
pub mod settings;
pub mod stdout;
pub mod talk;
mod words;

pub use mode::{Mode, Verdict};
pub use settings::Settings;
