//! The WebSocket ping/pong server.
//!
//! A ping goes one way through the modules, with no way back:
//! [`listener`] → [`handshake`] ([`tls`], [`http`]) → [`connection`] → [`service`] → [`journal`] → reply.
//! [`event_loop`] says whose turn it is, [`worker`] is the thread that it runs in, [`server`] the
//! whole.

pub mod connection;
pub mod descriptors;
pub mod event_loop;
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
pub mod tally;
pub mod throttle;
pub mod tls;
pub mod worker;

pub use server::{Failure, Server};
pub use settings::Settings;
