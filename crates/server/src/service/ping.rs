//! Ping/pong: a ping is recorded, then answered with `Pong!`, whatever its message.

use proto::{Ping, path};

use super::{Answer, Service, State};

pub(super) const ABOUT: &str = "each ping is recorded and answered with Pong!";

pub(super) fn answer<'a>(text: &'a str, _: &State) -> Result<Answer<'a>, String> {
    let ping = Ping::parse(text).map_err(|error| {
        let mut others = Service::paths();
        others.retain(|path| *path != path::PING);
        format!("{error}; the other services are at {}", others.join(", "))
    })?;
    Ok(Answer::Record(ping))
}
