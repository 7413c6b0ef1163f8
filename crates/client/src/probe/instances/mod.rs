//! Instances: the servers that answer at one URL. What names an instance (`naming`, [`pattern`]),
//! how connections spread over them (`shares`), and whether chance explains that (`chi_square`).

pub(super) mod chi_square;
mod naming;
pub mod pattern;
pub(super) mod shares;

pub use naming::NameSource;
pub(crate) use naming::{Evidence, Instance, certain, choose};
