//! Why a server ends with an error.

/// Why a server could not start, or ended before its stop.
#[derive(Debug)]
pub enum Failure {
    /// A setting cannot be met on this system.
    Setting(String),
    /// The system refused something.
    Run(String),
}
