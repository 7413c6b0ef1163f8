//! The command-line side of the server and the client.
//!
//! How a setting is loaded ([`settings`]) and what it may hold ([`values`]), events on stderr
//! ([`events`]), output whose reader may be slow or stuck ([`paced`], [`standard_streams`],
//! [`patience`]), completions and manual pages ([`documentation`]), the signals that end a program
//! ([`signals`]) and the stop that follows ([`mod@stop`]), the descriptor limit ([`descriptors`]),
//! and the exit status ([`exit`]). Nothing here knows what the programs do.

mod clock;
pub mod descriptors;
pub mod documentation;
pub mod events;
pub mod exit;
pub mod paced;
pub mod patience;
mod redacted;
pub mod runtime;
pub mod settings;
pub mod signals;
pub mod standard_streams;
pub mod stop;
pub mod threads;
pub mod values;
pub mod zone;

pub use redacted::redacted;
