//! The protocol that the server and the client share.
//!
//! A ping goes through this crate like this:
//!
//! 1. The client makes the text of the frame ([`Ping::to_json`]).
//! 2. The frame is encoded, sent and decoded ([`frame`]), up to the largest message ([`limits`]).
//!    A message may be compressed ([`deflate`]).
//! 3. The server parses the text ([`Ping::parse`]).
//! 4. The server appends the line of the log ([`mod@line`]), in which control characters and
//!    invisible ones are escaped ([`escape`]).
//! 5. The reply is [`PONG`], or a text that begins with [`ping::ERROR_PREFIX`].
//!
//! [`probe`] has the messages of `/probe`, [`secret`] replaces secrets in the requests shown there,
//! [`path`] has the paths of the services. Nothing here does I/O, waits, or reads a clock: time is
//! an argument.

pub mod deflate;
pub mod escape;
pub mod frame;
pub mod limits;
pub mod line;
pub mod path;
pub mod ping;
pub mod probe;
pub mod secret;

pub use line::Stamp;
pub use ping::{PONG, Ping};
