//! Echo: the text comes back, marked as a reply.

use super::{Answer, Reply, State};

pub(super) const ABOUT: &str = "a text comes back as [RE]: TEXT";

#[expect(clippy::unnecessary_wraps, reason = "other rules refuse some texts")]
pub(super) fn answer<'a>(text: &'a str, _: &State) -> Result<Answer<'a>, String> {
    Ok(Answer::Reply(Reply::text(format!("[RE]: {text}"))))
}
