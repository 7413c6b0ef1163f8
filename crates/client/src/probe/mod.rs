//! Probes: what happens to a WebSocket on its way.
//!
//! One folder a question: [`why`] it does not connect, after how long it is cut when [`idle`], over
//! which servers connections [`spread`], which of them [`hold`] through a rollout, and whether the
//! server passes a [`check`] against RFC 6455. All of them use one kind of connection ([`link`]),
//! and report on stdout ([`report`]). What is inferred from observations is inferred by pure
//! functions.

pub mod check;
pub mod crowd;
pub mod diagnosis;
pub mod hold;
pub mod idle;
mod link;
mod report;
pub mod spread;
pub mod why;
