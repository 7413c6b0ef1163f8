//! Close frames (RFC 6455, section 5.5.1 and 7.4).

use std::borrow::Cow;
use std::fmt;

use super::{Error, Violation};

/// Why an endpoint closes a connection (RFC 6455, section 7.4.1, and the IANA registry).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(pub u16);

/// The body of a Close frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close<'a> {
    /// The reason as a number.
    pub code: CloseCode,
    /// The reason in words; often empty.
    pub reason: Cow<'a, str>,
}

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The endpoint goes away: a server stops, a page is left.
    pub const AWAY: Self = Self(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// A kind of message that the endpoint does not take.
    pub const UNSUPPORTED: Self = Self(1003);
    /// Text that is not UTF-8.
    pub const INVALID: Self = Self(1007);
    /// The peer does what the endpoint does not allow.
    pub const POLICY: Self = Self(1008);
    /// A message that is too long.
    pub const TOO_BIG: Self = Self(1009);
    /// The endpoint is overloaded.
    pub const TRY_AGAIN_LATER: Self = Self(1013);

    /// Whether a Close frame may carry the code: those that are registered for it, and those for
    /// libraries and applications (RFC 6455, section 7.4.2).
    #[must_use]
    pub fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'a> Close<'a> {
    /// Reads the payload of a Close frame.
    pub(super) fn parse(payload: Cow<'a, [u8]>) -> Result<Option<Self>, Error> {
        let code = match *payload {
            [] => return Ok(None),
            [_] => return Err(Violation::CloseBody.into()),
            [high, low, ..] => CloseCode(u16::from_be_bytes([high, low])),
        };
        if !code.may_be_sent() {
            return Err(Violation::CloseCode(code).into());
        }
        let reason = match payload {
            Cow::Borrowed(payload) => str::from_utf8(&payload[2..])?.into(),
            Cow::Owned(payload) => str::from_utf8(&payload[2..])?.to_owned().into(),
        };
        Ok(Some(Self { code, reason }))
    }
}
