//! Ping/pong: a ping is recorded, then answered with `Pong!`, whatever it says.

use proto::{PONG, Ping};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::Answer;

pub(super) fn answer(text: &str) -> Result<Answer<'_>, String> {
    let ping = Ping::parse(text).map_err(|error| error.to_string())?;
    Ok(Answer { reply: Utf8Bytes::from_static(PONG), record: Some(ping) })
}
