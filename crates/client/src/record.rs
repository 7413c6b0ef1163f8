//! The output of `--json`: one object per line, with its type, the schema number and a time. Times
//! are in seconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// Number of the schema. Fields may be added, but neither renamed nor dropped.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Record<'a, T> {
    r#type: &'static str,
    schema: u32,
    /// Unix time.
    at: f64,
    #[serde(flatten)]
    fields: &'a T,
}

/// The last line: the result of a mode.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict<'a, T> {
    /// The name of the mode.
    pub(crate) probe: &'static str,
    /// Whether the run succeeded; `None` if the mode could not decide.
    pub(crate) ok: Option<bool>,
    pub(crate) text: &'a str,
    #[serde(flatten)]
    pub(crate) fields: &'a T,
}

/// Formats `fields` as one JSON line with type, schema number and time.
///
/// # Errors
/// If the fields cannot be serialized, which the types of this program rule out.
pub(crate) fn line(
    r#type: &'static str,
    at: SystemTime,
    fields: &impl Serialize,
) -> Result<String, serde_json::Error> {
    let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    serde_json::to_string(&Record { r#type, schema: SCHEMA, at, fields }).map(|line| line + "\n")
}

/// Formats a verdict as one JSON line.
///
/// # Errors
/// If the fields cannot be serialized, which the types of this program rule out.
pub(crate) fn verdict<T: Serialize>(verdict: &Verdict<'_, T>) -> Result<String, serde_json::Error> {
    line("verdict", SystemTime::now(), verdict)
}

/// A time in seconds.
pub(crate) fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
