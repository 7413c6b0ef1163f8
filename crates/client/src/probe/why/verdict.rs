//! The fields of the verdict.

use serde::Serialize;

use super::changed::Change;
use super::diagnose::Diagnosis;
use crate::probe::diagnosis;

/// The fields of the verdict in JSON.
#[derive(Debug, Default, Serialize)]
pub(super) struct Fields {
    /// The status of the answer.
    pub(super) status: Option<u16>,
    pub(super) cause: Option<String>,
    /// What to change.
    pub(super) change: Option<String>,
    /// All rows of the table of causes that fit.
    pub(super) fits: Vec<Fit>,
    pub(super) changed: Vec<Change>,
    pub(super) limits: Limits,
}

/// A row of the table of causes that fits.
#[derive(Debug, Serialize)]
pub(super) struct Fit {
    pub(super) row: u8,
    pub(super) cause: String,
    pub(super) change: String,
}

/// Features that work over the connection. `None` if not tried, or unknown.
#[derive(Debug, Default, Serialize)]
pub(super) struct Limits {
    /// The largest message, in bytes.
    pub(super) message: Option<usize>,
    pub(super) text: Option<bool>,
    pub(super) binary: Option<bool>,
    pub(super) fragments: Option<bool>,
    /// `agreed`, `declined` by the server, or `dropped` on the way to the server.
    pub(super) compression: Option<&'static str>,
    /// The subprotocol that was agreed on.
    pub(super) subprotocol: Option<String>,
    /// Whether Ping frames of the client are answered.
    pub(super) protocol_ping: Option<bool>,
    /// Whether Ping frames of the server arrive.
    pub(super) server_ping: Option<bool>,
}

impl Fit {
    /// The rows of a diagnosis, each with the changes for the intermediaries of the diagnosis.
    pub(super) fn all(diagnosis: &Diagnosis) -> Vec<Self> {
        let rows = diagnosis.rows.iter().filter_map(|number| diagnosis::row(*number));
        let fit = |row: &diagnosis::Row| Self {
            row: row.number,
            cause: row.cause(),
            change: row.advice(&diagnosis.intermediaries),
        };
        rows.map(fit).collect()
    }
}

/// Alternatives as one text.
pub(super) fn either(texts: impl Iterator<Item = String>) -> Option<String> {
    Some(texts.collect::<Vec<_>>().join("; or: ")).filter(|text| !text.is_empty())
}
