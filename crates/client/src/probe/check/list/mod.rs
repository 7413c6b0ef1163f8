//! The checks: what each sends, and what RFC 6455 has to say about the answer.
//!
//! [`well_formed`] ones keep the RFC themselves, [`ill_formed`] ones do not.

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
    pub(super) trial: Trial,
}

/// What is sent, and what has to come of it.
#[derive(Debug)]
pub(super) enum Trial {
    /// The usual request, and a part of the answer.
    Answer(Part),
    /// A request with a change.
    Request(Change, Due),
    /// Frames after the upgrade.
    Frames(Sent, Wanted),
}

/// A part of the answer to a request for the upgrade (RFC 6455, section 4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Status,
    Accept,
    Upgrade,
    Connection,
    Subprotocol,
    Extensions,
}

/// The answer that a request is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The upgrade.
    Upgrade,
    /// An error (RFC 6455, section 4.2.1).
    Refusal,
    /// No upgrade: the request is an ordinary one of HTTP (RFC 9110, section 7.8).
    NoUpgrade,
    /// An error that names the versions of the server (RFC 6455, section 4.4).
    Versions,
}

/// What has to come of frames.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    /// A Pong with this payload.
    Pong(&'static [u8]),
    /// The same, in a frame that is not masked.
    Unmasked(&'static [u8]),
    /// The connection goes on.
    Held,
    /// This text is taken whole; before its last fragment a Ping with this payload is answered.
    Taken(&'static str, Option<&'static [u8]>),
    /// A Close frame, with this code unless that is `None`.
    Closed(Option<u16>),
    /// A closing handshake, and then the end of TCP.
    End,
    /// The connection fails (RFC 6455, section 7.1.7).
    Failed(Failure),
    /// The same, and TCP ends.
    FailedEnd,
    /// A message that is announced and not sent is refused with 1009.
    Limit,
}

/// How a connection has to fail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    /// The codes that say why.
    pub(super) codes: &'static [u16],
    /// What it is if the server takes the frame instead, or answers nothing.
    pub(super) taken: Outcome,
    /// What it is if the connection ends without a Close frame.
    pub(super) bare: Outcome,
}

const fn check(id: &'static str, section: &'static str, rule: &'static str, trial: Trial) -> Check {
    Check { id, section, rule, trial }
}

const fn frames(frames: &'static [(u8, &'static [u8])], wanted: Wanted) -> Trial {
    Trial::Frames(Sent::Masked(frames), wanted)
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
    fn the_codec_takes_what_is_well_formed_and_refuses_the_rest_with_the_code() {
        let well_formed = WELL_FORMED.iter().map(|check| (check, true));
        let ill_formed = ILL_FORMED.iter().map(|check| (check, false));
        for (Check { id, trial, .. }, is_well_formed) in well_formed.chain(ill_formed) {
            let Trial::Frames(sent, wanted) = trial else { continue };
            let fault = fault(*sent);
            match wanted {
                Wanted::Failed(Failure { codes, .. }) => {
                    assert!(fault.is_some_and(|code| codes.contains(&code)), "{id}: {fault:?}");
                }
                Wanted::FailedEnd => assert_eq!(fault, Some(1002), "{id}"),
                Wanted::Limit => assert_eq!(fault, Some(1009), "{id}"),
                _ => assert_eq!(fault, None, "{id}"),
            }
            assert_eq!(fault.is_none(), is_well_formed, "{id}");
        }
    }
}
