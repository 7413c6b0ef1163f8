//! Close frames (RFC 6455, sections 5.5.1 and 7.4).

use std::borrow::Cow;
use std::fmt;

use super::{Error, Violation};

/// Why an endpoint closes a connection (RFC 6455, section 7.4.1, and the IANA registry).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(pub u16);

/// The body of a Close frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close<'a> {
    /// The status code.
    pub code: CloseCode,
    /// The reason as text, often empty.
    pub reason: Cow<'a, str>,
}

impl CloseCode {
    /// Normal closure.
    pub const NORMAL: Self = Self(1000);
    /// Going away: a server stops, or a browser leaves the page.
    pub const AWAY: Self = Self(1001);
    /// Protocol error.
    pub const PROTOCOL: Self = Self(1002);
    /// Unsupported data: a kind of message that the endpoint does not accept.
    pub const UNSUPPORTED: Self = Self(1003);
    /// Invalid payload: text that is not UTF-8.
    pub const INVALID: Self = Self(1007);
    /// Policy violation.
    pub const POLICY: Self = Self(1008);
    /// Message too big.
    pub const TOO_BIG: Self = Self(1009);
    /// Try again later: the endpoint is overloaded.
    pub const TRY_AGAIN_LATER: Self = Self(1013);

    /// Whether a Close frame may have this code: a registered one, or one for libraries and
    /// applications (RFC 6455, section 7.4.2).
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

impl Close<'_> {
    /// The same body, independent of the input.
    #[must_use]
    pub fn into_owned(self) -> Close<'static> {
        Close { code: self.code, reason: self.reason.into_owned().into() }
    }
}

impl<'a> Close<'a> {
    /// Parses the payload of a Close frame.
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
