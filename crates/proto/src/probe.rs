//! The frames of `/probe`, the service that answers the client's probes: JSON objects in text
//! frames. crates/server/README.md documents them for other implementations.
//!
//! The server begins with a [`Hello`]. The client sends [`Request`]s; the server replies to
//! [`Request::Ping`] with a [`Pong`] and to [`Request::Ended`] with an [`Ended`], and follows
//! [`Request::Push`] and [`Request::Pings`] with [`Pushed`] messages and Ping frames.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Version of the protocol, in [`Hello::hello`].
pub const VERSION: u32 = 1;

/// Longest pause between two pushed messages or Ping frames, in seconds.
pub const MAX_EVERY: f64 = 3600.0;

/// Shortest pause between two pushed messages or Ping frames, in seconds.
pub const MIN_EVERY: f64 = 0.01;

/// Most messages or Ping frames of one push.
pub const MAX_TIMES: u32 = 10_000;

/// The first message of the server: who it is, and how the request for the upgrade arrived.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Hello<'a> {
    /// [`VERSION`].
    pub hello: u32,
    /// Name of the host and a random part, new with each start of the server.
    #[serde(borrow)]
    pub instance: Cow<'a, str>,
    /// Start of the server, in seconds since the beginning of 1970 (UTC).
    pub started: f64,
    /// Version of the server.
    #[serde(borrow)]
    pub version: Cow<'a, str>,
    /// Number of this connection, to ask for its end later ([`Request::Ended`]).
    #[serde(borrow)]
    pub connection: Cow<'a, str>,
    /// The request for the upgrade, as it arrived.
    #[serde(borrow)]
    pub request: Arrived<'a>,
    /// Address and port that the connection came from: those of the last proxy, if any.
    #[serde(borrow)]
    pub peer: Cow<'a, str>,
    /// Whether the server itself speaks TLS on this connection.
    pub tls: bool,
    /// The subprotocol that the server chose.
    #[serde(borrow)]
    pub subprotocol: Option<Cow<'a, str>>,
    /// The extensions that the server agreed to, as in `Sec-WebSocket-Extensions`.
    #[serde(borrow)]
    pub extensions: Option<Cow<'a, str>>,
    /// Time for which the server sends nothing by itself, in seconds.
    pub silent_for: f64,
}

/// A request as it arrived.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Arrived<'a> {
    /// The request line, such as `GET /probe HTTP/1.1`.
    #[serde(borrow)]
    pub line: Cow<'a, str>,
    /// Names and values of the headers, in order and spelling. A secret value is replaced by its
    /// length.
    #[serde(borrow)]
    pub headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// A message of the client.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Request<'a> {
    /// Asks for a [`Pong`] with this number.
    Ping(u64),
    /// Asks for [`Pushed`] messages. Replaces an earlier schedule.
    Push(Schedule),
    /// Asks for Ping frames. Replaces an earlier schedule.
    Pings(Schedule),
    /// Asks how the connection with this number ([`Hello::connection`]) ended.
    #[serde(borrow)]
    Ended(&'a str),
}

/// When the server is to send by itself.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Schedule {
    /// Pause before each, in seconds, from [`MIN_EVERY`] to [`MAX_EVERY`].
    pub every: f64,
    /// How many, up to [`MAX_TIMES`]; 0 ends an earlier schedule.
    pub times: u32,
}

/// The reply to [`Request::Ping`].
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Pong {
    /// The number in the request.
    pub pong: u64,
    /// The server's clock when the request had arrived, in microseconds since the beginning of
    /// 1970.
    pub arrived: u64,
    /// The server's clock when the reply left, in the same unit.
    pub left: u64,
}

/// A message that the server sends by itself.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Pushed {
    /// Number of the message in its schedule, from 1.
    pub push: u32,
}

/// The reply to [`Request::Ended`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Ended<'a> {
    /// The number in the request.
    #[serde(borrow)]
    pub ended: Cow<'a, str>,
    /// `open`, `unknown`, `close-CODE`, `fin`, `rst` or `silence`.
    #[serde(borrow)]
    pub seen: Cow<'a, str>,
    /// Who ended the connection.
    pub by: Option<By>,
    /// Age of the connection at its end, or now, in seconds.
    pub age: Option<f64>,
    /// Time without a frame from the client before the end, or now, in seconds.
    pub silent: Option<f64>,
    /// When the connection ended, in seconds since the beginning of 1970.
    pub at: Option<f64>,
}

/// An end of a connection.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The server.
    Server,
    /// The client, or a proxy between the two.
    Peer,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_objects_with_one_key() {
        for (json, request) in [
            (r#"{"ping":7}"#, Request::Ping(7)),
            (
                r#"{"push":{"every":5.0,"times":12}}"#,
                Request::Push(Schedule { every: 5.0, times: 12 }),
            ),
            (
                r#"{"pings":{"every":0.5,"times":0}}"#,
                Request::Pings(Schedule { every: 0.5, times: 0 }),
            ),
            (r#"{"ended":"1-2"}"#, Request::Ended("1-2")),
        ] {
            assert_eq!(serde_json::to_string(&request).unwrap(), json);
            assert_eq!(serde_json::from_str::<Request<'_>>(json).unwrap(), request);
        }
    }
}
