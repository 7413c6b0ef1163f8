//! Ping/pong: a ping is recorded, then answered with `Pong!`, whatever it says.

use proto::{PONG, Ping};

use super::Answer;

pub(super) fn answer(text: &str) -> Result<Answer<'_>, String> {
    let ping = Ping::parse(text).map_err(|error| error.to_string())?;
    Ok(Answer { reply: PONG.into(), record: Some(ping) })
}
