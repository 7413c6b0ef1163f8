//! What the probes with many connections have in common: the [`way`] to the server, by what its
//! instances are told apart ([`instance`]), and whether [`chance`] explains how connections spread.

pub(super) mod causes;
pub(super) mod chance;
pub mod instance;
pub mod pattern;
pub(super) mod shares;
pub(super) mod way;
