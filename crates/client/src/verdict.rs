//! The result of a mode.

/// The result of a mode, for the exit status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Success.
    Good,
    /// A failure, such as no reply at all. The reason, unless the output has it already.
    Bad(Option<String>),
    /// The mode could not decide, for this reason.
    Unknown(String),
}
