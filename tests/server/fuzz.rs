//! The opening handshake, with the seed corpus of its fuzz target.

#[path = "../fuzz/checks/request.rs"]
mod request;
#[path = "../fuzz/seeds.rs"]
mod seeds;

#[test]
fn handshakes_hold_what_the_fuzz_target_checks() {
    seeds::replay("request", request::check);
}
