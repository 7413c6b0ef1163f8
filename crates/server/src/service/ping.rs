//! Ping/pong: a ping is recorded, then answered with `Pong!`, whatever its message says.

use proto::{Ping, path};

use super::{Answer, Service, State};

pub(super) const ABOUT: &str = "each ping is recorded and answered with Pong!";

pub(super) fn answer<'a>(text: &'a str, state: &State) -> Result<Answer<'a>, String> {
    let ping = Ping::parse(text).map_err(|error| {
        let mut others: Vec<_> = state.services().map(Service::path).collect();
        others.retain(|path| *path != path::PING);
        format!("{error}; the other services are at {}", others.join(", "))
    })?;
    Ok(Answer::Record(ping))
}
