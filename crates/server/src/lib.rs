//! The WebSocket ping/pong server.
//!
//! A ping goes one way through the modules, with no way back:
//! [`listener`] → [`handshake`] ([`tls`], [`http`]) → [`connection`] → [`service`] → [`journal`] → reply.
//! [`worker`] is the thread that this happens in, [`server`] the whole.

pub mod connection;
pub mod descriptors;
pub mod events;
pub mod handshake;
pub mod health;
pub mod healthcheck;
pub mod http;
pub mod journal;
pub mod listener;
pub mod metrics;
pub mod page;
pub mod server;
pub mod service;
pub mod settings;
pub mod stop;
pub mod tally;
pub mod throttle;
pub mod tls;
pub mod worker;

pub use server::{Failure, Server};
pub use settings::Settings;
