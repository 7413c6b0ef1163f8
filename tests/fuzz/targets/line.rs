//! Fuzzes the line of the log.

#![no_main]

#[path = "../checks/line.rs"]
mod line;

libfuzzer_sys::fuzz_target!(|input: &[u8]| line::check(input));
