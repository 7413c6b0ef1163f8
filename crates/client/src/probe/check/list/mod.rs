//! The checks: what each sends, and what RFC 6455 expects of the server.
//!
//! [`well_formed`] checks keep the RFC themselves, [`ill_formed`] checks break it.

mod ill_formed;
mod sent;
mod well_formed;

use super::Outcome;
use super::request::Change;
pub(super) use ill_formed::ILL_FORMED;
pub(super) use sent::Sent;
pub(super) use well_formed::WELL_FORMED;

/// A rule of RFC 6455 and how it is checked.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) id: &'static str,
    /// Section of RFC 6455.
    pub(super) section: &'static str,
    /// The rule, for a person.
    pub(super) rule: &'static str,
    pub(super) case: Case,
}

/// What is sent, and what is expected of the server.
#[derive(Debug)]
pub(super) enum Case {
    /// The usual request; one part of the answer is checked.
    Answer(Part),
    /// A changed request.
    Request(Change, ExpectedAnswer),
    /// Frames after the upgrade.
    Frames(Sent, Expected),
}

/// A part of the answer to the opening handshake (RFC 6455, section 4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Status,
    Accept,
    Upgrade,
    Connection,
    Subprotocol,
    Extensions,
}

/// The expected answer to a changed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExpectedAnswer {
    /// The upgrade.
    Upgrade,
    /// An error (RFC 6455, section 4.2.1).
    Refusal,
    /// Any answer but an upgrade: the request is plain HTTP (RFC 9110, section 7.8).
    NoUpgrade,
    /// An error that names the versions of the server (RFC 6455, section 4.4).
    Versions,
}

/// The expected reaction to frames.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expected {
    /// A Pong with this payload.
    Pong(&'static [u8]),
    /// A Pong with this payload, in a frame that is not masked.
    Unmasked(&'static [u8]),
    /// The connection stays open.
    Held,
    /// The server accepts this text; before its last fragment, it answers a Ping with this payload.
    Accepted(&'static str, Option<&'static [u8]>),
    /// A Close frame, with this code unless that is `None`.
    Closed(Option<u16>),
    /// A closing handshake, and then the end of the TCP connection.
    End,
    /// The connection fails (RFC 6455, section 7.1.7).
    Failed(Failure),
    /// The connection fails, and then the TCP connection ends.
    FailedEnd,
    /// A message that is announced and never sent is refused with 1009.
    Limit,
}

/// How a connection has to fail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    /// The close codes that fit the violation.
    pub(super) codes: &'static [u16],
    /// The outcome if the server accepts the frame, or does not react.
    pub(super) accepted: Outcome,
    /// The outcome if the connection ends without a Close frame.
    pub(super) no_close: Outcome,
}

const fn check(id: &'static str, section: &'static str, rule: &'static str, case: Case) -> Check {
    Check { id, section, rule, case }
}

const fn frames(frames: &'static [(u8, &'static [u8])], expected: Expected) -> Case {
    Case::Frames(Sent::Masked(frames), expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::frame::{Decoder, Role};
    use std::collections::BTreeSet;

    #[test]
    fn each_check_has_a_name_of_its_own() {
        let all = || WELL_FORMED.iter().chain(ILL_FORMED);
        for of in [|check: &Check| check.id, |check: &Check| check.rule] {
            let different: BTreeSet<_> = all().map(of).collect();
            assert_eq!(different.len(), all().count());
        }
    }

    /// The first error that the codec finds in the frames of a check, as a close code.
    fn fault(sent: Sent) -> Option<u16> {
        let mut decoder = Decoder::new(Role::Server, 65_536);
        let mut bytes = sent.to_bytes();
        let mut rest = bytes.as_mut_slice();
        loop {
            match decoder.decode(&mut rest) {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => return Some(error.close_code().0),
            }
        }
    }

    #[test]
    fn the_codec_accepts_what_is_well_formed_and_refuses_the_rest_with_the_code() {
        let well_formed = WELL_FORMED.iter().map(|check| (check, true));
        let ill_formed = ILL_FORMED.iter().map(|check| (check, false));
        for (Check { id, case, .. }, is_well_formed) in well_formed.chain(ill_formed) {
            let Case::Frames(sent, expected) = case else { continue };
            let fault = fault(*sent);
            match expected {
                Expected::Failed(Failure { codes, .. }) => {
                    assert!(fault.is_some_and(|code| codes.contains(&code)), "{id}: {fault:?}");
                }
                Expected::FailedEnd => assert_eq!(fault, Some(1002), "{id}"),
                Expected::Limit => assert_eq!(fault, Some(1009), "{id}"),
                _ => assert_eq!(fault, None, "{id}"),
            }
            assert_eq!(fault.is_none(), is_well_formed, "{id}");
        }
    }
}
