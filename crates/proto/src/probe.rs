//! The messages of `/probe`, the service that answers the client's probes: JSON objects in text
//! frames. crates/server/README.md documents them for other implementations.
//!
//! The server begins with a [`Hello`]. The client sends [`Request`]s; the server replies to
//! [`Request::Ping`] with a [`Pong`] and to [`Request::Ended`] with an [`Ended`], and follows
//! [`Request::Push`] and [`Request::Pings`] with [`Pushed`] messages and Ping frames.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ping::reason;

/// Version of the protocol, in [`Hello::hello`].
pub const VERSION: u32 = 1;

/// Longest pause between two pushed messages or Ping frames, in seconds.
pub const MAX_EVERY: f64 = 3600.0;

/// Shortest pause between two pushed messages or Ping frames, in seconds.
pub const MIN_EVERY: f64 = 0.01;

/// Most messages or Ping frames of one push.
pub const MAX_TIMES: u32 = 10_000;

/// Longest part of the name of an instance that is shown, in bytes.
pub const MAX_INSTANCE: usize = 128;

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
    /// Seconds without a frame from the client after which the server sends a Ping frame.
    pub silent_for: f64,
}

/// A request as it arrived.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Arrived<'a> {
    /// The request line, such as `GET /probe HTTP/1.1`.
    #[serde(borrow)]
    pub line: Cow<'a, str>,
    /// Names and values of the headers, in order and spelling. A secret value is replaced by its
    /// length ([`crate::secret`]).
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
    #[serde(borrow, deserialize_with = "unescaped")]
    Ended(&'a str),
}

impl<'a> Request<'a> {
    /// Reads a request from the text of a frame.
    ///
    /// # Errors
    /// If the text is not a request; the error lists the valid ones.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        let request = serde_json::from_str(text).map_err(|error| expected(&cause(text, &error)))?;
        match request {
            Self::Push(schedule) | Self::Pings(schedule) if !schedule.is_allowed() => Err(format!(
                "expected every from {MIN_EVERY} to {MAX_EVERY} seconds and at most {MAX_TIMES} times, not {} times every {} seconds",
                schedule.times, schedule.every
            )),
            request => Ok(request),
        }
    }
}

/// Longest part of a reason that is shown, in bytes: it may repeat what the client sent.
const MAX_REASON: usize = 200;

fn expected(reason: &str) -> String {
    let reason = &reason[..reason.floor_char_boundary(MAX_REASON)];
    format!(
        "expected one of {{\"ping\": 1}}, {{\"push\": {{\"every\": 5, \"times\": 12}}}}, {{\"pings\": {{\"every\": 5, \"times\": 12}}}}, {{\"ended\": \"CONNECTION\"}}: {reason}"
    )
}

/// Why serde cannot read a request. Its own error about the number of keys does not mention them.
fn cause(text: &str, error: &serde_json::Error) -> String {
    match serde_json::from_str::<Map<String, Value>>(text) {
        Ok(object) if object.len() != 1 => format!("the object has {} keys", object.len()),
        _ => reason(error),
    }
}

/// Reads a string as it stands in the JSON, without a copy.
fn unescaped<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'de str, D::Error> {
    struct Unescaped;

    impl<'de> Visitor<'de> for Unescaped {
        type Value = &'de str;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string without escapes")
        }

        fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
            Ok(text)
        }
    }

    deserializer.deserialize_str(Unescaped)
}

/// A schedule on which the server sends messages or Ping frames.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Schedule {
    /// Pause before each message or frame, in seconds, from [`MIN_EVERY`] to [`MAX_EVERY`].
    pub every: f64,
    /// Number of messages or frames, up to [`MAX_TIMES`]; 0 ends an earlier schedule.
    pub times: u32,
}

impl Schedule {
    /// Whether both fields are within their bounds.
    fn is_allowed(self) -> bool {
        (MIN_EVERY..=MAX_EVERY).contains(&self.every) && self.times <= MAX_TIMES
    }
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
    /// How the server saw the end: `open`, `unknown`, `close-CODE`, `fin`, `rst` or `silence`.
    #[serde(borrow)]
    pub seen: Cow<'a, str>,
    /// Who ended the connection.
    pub by: Option<EndedBy>,
    /// Age of the connection at its end, or now, in seconds.
    pub age: Option<f64>,
    /// Time without a frame from the client before the end, or now, in seconds.
    pub silent: Option<f64>,
    /// When the connection ended, in seconds since the beginning of 1970.
    pub at: Option<f64>,
}

/// Who ended a connection.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EndedBy {
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
            assert_eq!(Request::parse(json).unwrap(), request);
        }
    }

    #[test]
    fn an_invalid_request_is_refused_with_the_valid_ones() {
        for (text, reason) in [
            ("hello", "expected value"),
            ("{}", "the object has 0 keys"),
            (r#"{"ping":1,"ended":"1-2"}"#, "the object has 2 keys"),
            (r#"{"ping":-1}"#, "invalid value: integer `-1`, expected u64"),
            (
                r#"{"pong":1}"#,
                "unknown variant `pong`, expected one of `ping`, `push`, `pings`, `ended`",
            ),
            (r#"{"push":{"every":1}}"#, "missing field `times`"),
            (r#"{"ended":7}"#, "invalid type: integer `7`, expected a string without escapes"),
            (
                r#"{"ended":"\u0041"}"#,
                "invalid type: string \"A\", expected a string without escapes",
            ),
        ] {
            let error = Request::parse(text).unwrap_err();
            assert!(error.starts_with(r#"expected one of {"ping": 1}, {"push": "#), "{error}");
            assert!(error.ends_with(&format!(": {reason}")), "{error}");
        }
        let error = Request::parse(&format!(r#"{{"{}":1}}"#, "é".repeat(30_000))).unwrap_err();
        assert!(error.len() < 500, "{error}");
    }

    #[test]
    fn a_schedule_has_bounds() {
        let parse = |every: &str, times: u64| {
            let text = format!(r#"{{"pings":{{"every":{every},"times":{times}}}}}"#);
            Request::parse(&text).map(drop)
        };
        for (every, times) in [("0.01", 0), ("3600", 10_000), ("5", 1)] {
            assert_eq!(parse(every, times), Ok(()));
        }
        for (every, times) in [("0.009", 1), ("0", 1), ("-1", 1), ("3600.1", 1), ("1", 10_001)] {
            let error = format!(
                "expected every from 0.01 to 3600 seconds and at most 10000 times, not {times} times every {every} seconds"
            );
            assert_eq!(parse(every, times), Err(error));
        }
    }
}
