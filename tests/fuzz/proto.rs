//! Replays the seed corpora of the fuzz targets for the crate `proto`.

// The lints know tests by their attribute only, not the functions that they share.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "checks/frames.rs"]
mod frames;
#[path = "checks/line.rs"]
mod line;
mod seeds;

#[test]
fn frames_hold_what_the_fuzz_target_checks() {
    seeds::replay("frames", frames::check);
}

#[test]
fn lines_hold_what_the_fuzz_target_checks() {
    seeds::replay("line", line::check);
}
