//! Ping/pong: a ping is recorded, then answered with `Pong!`, whatever its message.

use proto::{PONG, Ping};

use super::{Answer, State};

pub(super) const ABOUT: &str = "each ping is recorded and answered with Pong!";

pub(super) fn answer<'a>(text: &'a str, _: &State) -> Result<Answer<'a>, String> {
    let ping = Ping::parse(text).map_err(|error| error.to_string())?;
    Ok(Answer::Record { ping, reply: PONG })
}
