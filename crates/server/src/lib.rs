//! The WebSocket ping/pong server.
//!
//! A ping passes these modules in order, each of which knows only the later ones:
//!
//! 1. [`front`] accepts the connection, speaks TLS and HTTP, and hands the upgraded connection to
//!    a worker.
//! 2. [`worker`] waits for its connections; [`worker::connection`] reads, and decodes the frame.
//! 3. [`service`] has the rule for the path: a ping is to be recorded, then answered. A ping frame
//!    that repeats the last one of its connection is recognized without parsing.
//! 4. [`journal`] writes the lines of all pings of a turn to the log, in one write.
//! 5. The worker encodes the replies and sends them.
//!
//! [`observe`] counts on the way. [`stream`], [`peer`], [`occupancy`] and [`throttle`] are below
//! these modules. [`server`] puts the parts together according to the [`settings`].

pub mod descriptors;
mod failure;
mod file_kind;
pub mod front;
pub mod healthcheck;
pub mod journal;
pub mod observe;
pub mod occupancy;
pub mod peer;
pub mod server;
pub mod service;
pub mod settings;
pub mod stream;
pub mod tally;
pub mod throttle;
pub mod worker;

pub use failure::Failure;
pub use server::Server;
pub use settings::Settings;
