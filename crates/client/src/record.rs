//! What `--json` prints: one object a line, each with its type, the number of the schema and a
//! time. Times are in seconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// Number of the schema. Fields are added to it, and neither renamed nor dropped.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Record<'a, T> {
    r#type: &'static str,
    schema: u32,
    /// Since the beginning of 1970, UTC.
    at: f64,
    #[serde(flatten)]
    fields: &'a T,
}

/// What a mode found out, as the last line.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict<'a, T> {
    /// The mode.
    pub(crate) probe: &'static str,
    /// `None` where the mode could not tell.
    pub(crate) ok: Option<bool>,
    pub(crate) text: &'a str,
    #[serde(flatten)]
    pub(crate) fields: &'a T,
}

/// The line for an object of this type.
///
/// # Errors
/// When it cannot be put as JSON, which the types of this program rule out.
pub(crate) fn line(
    r#type: &'static str,
    at: SystemTime,
    fields: &impl Serialize,
) -> Result<String, serde_json::Error> {
    let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    serde_json::to_string(&Record { r#type, schema: SCHEMA, at, fields }).map(|line| line + "\n")
}

/// The line of a verdict.
///
/// # Errors
/// When it cannot be put as JSON, which the types of this program rule out.
pub(crate) fn verdict<T: Serialize>(verdict: &Verdict<'_, T>) -> Result<String, serde_json::Error> {
    line("verdict", SystemTime::now(), verdict)
}

/// A time in seconds.
pub(crate) fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
