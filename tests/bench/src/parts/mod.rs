//! The parts of the benchmark. Each returns its table as Markdown, and tells on stderr how it goes.

pub(crate) mod compare;
pub(crate) mod scale;
pub(crate) mod secure;
pub(crate) mod workers;
