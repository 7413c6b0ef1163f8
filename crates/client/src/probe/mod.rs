//! Probes: commands that find out what happens to WebSocket connections between client and server.
//!
//! One folder per command: [`why`] a connection fails, after how long an [`idle`] one is cut, how
//! connections [`spread`] over servers, which of them [`hold`] through a rollout, and whether a
//! server passes a [`check`] against RFC 6455. Most share one kind of connection ([`link`]);
//! `spread` and `hold` open many of them (`connector`), count those that fail (`refusals`), and
//! tell the [`instances`] of a server apart. All print through `output`.

pub mod check;
mod connector;
pub mod diagnosis;
pub mod hold;
pub mod idle;
pub mod instances;
mod link;
mod output;
mod refusals;
pub mod spread;
pub mod why;
