//! The errors with which a server ends.

/// Why a server could not start, or ended before its stop.
#[derive(Debug)]
pub enum Failure {
    /// A setting cannot be met on this system.
    Setting(String),
    /// Any other failure, such as an address in use or a log that cannot be written.
    Run(String),
}
