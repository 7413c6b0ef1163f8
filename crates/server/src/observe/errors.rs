//! Counts of errors by their causes.

use crate::tally::Tally;

/// A cause of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The system had no room for a further connection.
    Accept,
    /// A handshake was not finished in time.
    HandshakeTimeout,
    /// TLS that failed, or was spoken at the wrong port.
    Tls,
    /// A request that is not valid HTTP, or not a valid upgrade.
    BadRequest,
    /// A request for an unknown path.
    NotFound,
    /// A page of an origin that may not connect (`ALLOWED_ORIGINS`).
    Origin,
    /// A connection over the limit (`MAX_CONNECTIONS`).
    TooMany,
    /// A connection over the limit of its address (`MAX_PER_ADDRESS`).
    TooManyOfAddress,
    /// A handshake that made room for others.
    Evicted,
    /// A message that is invalid for its service.
    InvalidMessage,
    /// A binary frame where text was expected (1003).
    Binary,
    /// A message that is too long (1009).
    TooLong,
    /// A text that is not UTF-8 (1007).
    NotUtf8,
    /// A compressed message that cannot be decompressed (1007).
    NotDeflate,
    /// A frame that breaks the protocol (1002).
    Protocol,
    /// Too many control frames (1008).
    ControlFlood,
    /// A message that was not finished in time (1008).
    Unfinished,
    /// An unfinished message that made room for others (1013, `MAX_UNFINISHED`).
    Overload,
    /// A peer that did not answer a Ping frame (1008).
    Silent,
    /// A peer that did not read.
    NotReading,
    /// A connection that ended without a Close frame.
    Lost,
}

impl Cause {
    /// Every cause, in the order of the variants, with its label in the metrics.
    pub const ALL: [(Self, &str); 21] = [
        (Self::Accept, "accept"),
        (Self::HandshakeTimeout, "handshake_timeout"),
        (Self::Tls, "tls"),
        (Self::BadRequest, "bad_request"),
        (Self::NotFound, "not_found"),
        (Self::Origin, "origin_refused"),
        (Self::TooMany, "too_many_connections"),
        (Self::TooManyOfAddress, "too_many_of_address"),
        (Self::Evicted, "handshake_evicted"),
        (Self::InvalidMessage, "unusable_message"),
        (Self::Binary, "binary_frame"),
        (Self::TooLong, "message_too_long"),
        (Self::NotUtf8, "invalid_utf8"),
        (Self::NotDeflate, "invalid_compression"),
        (Self::Protocol, "protocol"),
        (Self::ControlFlood, "control_flood"),
        (Self::Unfinished, "unfinished_message"),
        (Self::Overload, "unfinished_evicted"),
        (Self::Silent, "silent_peer"),
        (Self::NotReading, "peer_not_reading"),
        (Self::Lost, "connection_lost"),
    ];
}

/// The number of errors of each cause; any thread may count.
#[derive(Debug, Default)]
pub struct Errors([Tally; Cause::ALL.len()]);

impl Errors {
    /// Counts an error.
    pub fn count(&self, cause: Cause) {
        self.0[cause as usize].add_among_threads(1);
    }

    /// How many errors of a cause there were.
    #[must_use]
    pub fn get(&self, cause: Cause) -> u64 {
        self.0[cause as usize].get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_cause_has_its_own_count_and_label() {
        let errors = Errors::default();
        let mut labels = HashSet::new();
        for (index, (cause, label)) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, index);
            assert!(labels.insert(label), "{label} twice");
            (0..index).for_each(|_| errors.count(cause));
        }
        assert!(Cause::ALL.iter().all(|&(cause, _)| errors.get(cause) == cause as u64));
    }
}
