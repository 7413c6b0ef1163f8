//! Host: each reply names the host, and so tells which of the servers behind an address answers.

use super::{Answer, Reply, State};

pub(super) const ABOUT: &str = "a text comes back as [HOSTNAME] TEXT";

pub(super) fn greeting(state: &State) -> String {
    format!("[{}] hello :) type a message and press ENTER", state.host)
}

#[expect(clippy::unnecessary_wraps, reason = "other rules refuse some texts")]
pub(super) fn answer<'a>(text: &'a str, state: &State) -> Result<Answer<'a>, String> {
    Ok(Answer::Reply(Reply::text(format!("[{}] {text}", state.host))))
}
