//! Checks the answer of a server that switches protocols (RFC 6455, section 4.1: "Once the client's
//! opening handshake has been sent, the client MUST wait for a response ...").
//!
//! The numbers in the comments are those of the list in that section.

use std::fmt;

use hyper::Version;
use hyper::header::{
    AsHeaderName, CONNECTION, HeaderMap, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use proto::deflate::Params;
use proto::escape;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::request::Request;

/// Longest header value that is shown, in bytes.
const SHOWN: usize = 200;

/// The rule that an answer of status 101 breaks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Version(Version),
    NoUpgrade(Option<String>),
    NoConnection(Option<String>),
    NoAccept,
    WrongAccept,
    UnaskedExtension(String),
    Compression(String),
    UnaskedSubprotocol(String),
}

impl Fault {
    /// Whether the answer agrees to an extension in a way that is not allowed.
    pub(super) fn is_about_extension(&self) -> bool {
        matches!(self, Self::UnaskedExtension(_) | Self::Compression(_))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => {
                write!(f, "the server answered 101 as {version:?}, which cannot switch protocols")
            }
            Self::NoUpgrade(None) => f.write_str("the answer has no Upgrade: websocket"),
            Self::NoUpgrade(Some(other)) => {
                write!(f, "the answer has Upgrade: {other} in place of Upgrade: websocket")
            }
            Self::NoConnection(None) => f.write_str("the answer has no Connection: Upgrade"),
            Self::NoConnection(Some(other)) => {
                write!(f, "the answer has Connection: {other} without Upgrade in it")
            }
            Self::NoAccept => f.write_str("the answer has no Sec-WebSocket-Accept"),
            Self::WrongAccept => f.write_str(
                "the Sec-WebSocket-Accept of the answer does not belong to the key that was sent",
            ),
            Self::UnaskedExtension(extension) => {
                write!(f, "the server uses an extension that nobody asked for: {extension}")
            }
            Self::Compression(why) => write!(f, "its answer on compression: {why}"),
            Self::UnaskedSubprotocol(protocol) => {
                write!(f, "the server chose a subprotocol that nobody offered: {protocol}")
            }
        }
    }
}

/// The server's choice of what the client offered.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Agreement {
    pub(super) subprotocol: Option<String>,
    pub(super) deflate: Option<Params>,
}

/// Checks the answer of status 101 to `request`.
///
/// # Errors
/// The first rule that the answer breaks.
pub(super) fn check(
    request: &Request,
    version: Version,
    headers: &HeaderMap,
) -> Result<Agreement, Fault> {
    // RFC 9110, section 15.2: HTTP/1.0 has no 1xx status, and so no switch of protocols.
    if version != Version::HTTP_11 {
        return Err(Fault::Version(version));
    }
    // 2. "If the response lacks an |Upgrade| header field or [it] contains a value that is not an
    // ASCII case-insensitive match for the value "websocket" ..."
    let upgrades = tokens(headers, UPGRADE);
    if upgrades.is_empty()
        || !upgrades.iter().all(|upgrade| upgrade.eq_ignore_ascii_case("websocket"))
    {
        return Err(Fault::NoUpgrade(header_text(headers, UPGRADE)));
    }
    // 3. "If the response lacks a |Connection| header field or [it] doesn't contain a token that
    // is an ASCII case-insensitive match for the value "Upgrade" ..."
    if !tokens(headers, CONNECTION).iter().any(|token| token.eq_ignore_ascii_case("upgrade")) {
        return Err(Fault::NoConnection(header_text(headers, CONNECTION)));
    }
    // 4. "If the response lacks a |Sec-WebSocket-Accept| header field or [it] contains a value
    // other than the base64-encoded SHA-1 of the concatenation of the |Sec-WebSocket-Key| [...]
    // but ignoring any leading and trailing whitespace ..."; 11.3.3: it "MUST NOT appear more than
    // once".
    let mut accepts = headers.get_all(SEC_WEBSOCKET_ACCEPT).iter();
    let accept = accepts.next().ok_or(Fault::NoAccept)?;
    let expected = derive_accept_key(request.key());
    if accept.as_bytes().trim_ascii() != expected.as_bytes() || accepts.next().is_some() {
        return Err(Fault::WrongAccept);
    }
    // 5. "If the response includes a |Sec-WebSocket-Extensions| header field and this header field
    // indicates the use of an extension that was not present in the client's handshake ..." The
    // client offers none but compression.
    let deflate = match request.offers_compression() {
        true => agreed_deflate(headers)?,
        false if !tokens(headers, SEC_WEBSOCKET_EXTENSIONS).is_empty() => {
            return Err(Fault::UnaskedExtension(values(headers, SEC_WEBSOCKET_EXTENSIONS)));
        }
        false => None,
    };
    // 6. "If the response includes a |Sec-WebSocket-Protocol| header field and this header field
    // indicates the use of a subprotocol that was not present in the client's handshake ..."
    // 11.3.4: it "MUST NOT appear more than once".
    let mut chosen = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let Some(subprotocol) = chosen.next() else {
        return Ok(Agreement { subprotocol: None, deflate });
    };
    match subprotocol.to_str() {
        Ok(name) if request.offers(name) && chosen.next().is_none() => {
            Ok(Agreement { subprotocol: Some(name.to_owned()), deflate })
        }
        _ => Err(Fault::UnaskedSubprotocol(values(headers, SEC_WEBSOCKET_PROTOCOL))),
    }
}

/// The parameters of compression that the server accepted (RFC 7692, section 5).
fn agreed_deflate(headers: &HeaderMap) -> Result<Option<Params>, Fault> {
    let lines = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter();
    let lines: Vec<_> = lines.map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    Params::agreed(lines.iter().map(AsRef::as_ref))
        .map_err(|why| Fault::Compression(escape::plain(&why[..why.floor_char_boundary(SHOWN)])))
}

/// The elements of a list header over all its lines (RFC 9110, section 5.6.1), empty ones left out.
fn tokens(headers: &HeaderMap, name: impl AsHeaderName) -> Vec<String> {
    let lines = headers.get_all(name).iter();
    let tokens = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    tokens
        .map(|token| String::from_utf8_lossy(token).trim_matches([' ', '\t']).to_owned())
        .filter(|token| !token.is_empty())
        .collect()
}

/// All values of a header, safe to print; `None` if there are none.
fn header_text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<String> {
    Some(values(headers, name)).filter(|text| !text.is_empty())
}

/// All values of a header, safe to print.
fn values(headers: &HeaderMap, name: impl AsHeaderName) -> String {
    let text = tokens(headers, name).join(", ");
    escape::plain(&text[..text.floor_char_boundary(SHOWN)])
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::{compressing, example, offering};
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    /// The answer of RFC 6455, section 1.3.
    const ANSWER: [(&str, &str); 3] = [
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ];

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let line = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        };
        lines.iter().map(line).collect()
    }

    /// Checks the answer of the RFC, with the lines of one header replaced.
    fn with(name: &str, values: &[&str]) -> Result<Agreement, Fault> {
        answer_to(&example(), name, values)
    }

    fn answer_to(request: &Request, name: &str, values: &[&str]) -> Result<Agreement, Fault> {
        let others = ANSWER.iter().filter(|line| line.0 != name).copied();
        let lines: Vec<_> = others.chain(values.iter().map(|value| (name, *value))).collect();
        check(request, Version::HTTP_11, &headers(&lines))
    }

    #[test]
    fn the_answer_of_the_rfc_is_accepted() {
        assert_eq!(
            check(&example(), Version::HTTP_11, &headers(&ANSWER)),
            Ok(Agreement::default())
        );
    }

    #[test]
    fn every_valid_spelling_is_accepted() {
        for (name, values) in [
            ("connection", &["keep-alive, Upgrade"][..]),
            ("connection", &["keep-alive", "upgrade"]),
            ("connection", &["keep-alive,\tUPGRADE"]),
            ("connection", &[",, Upgrade ,"]),
            ("upgrade", &["WebSocket"]),
            ("sec-websocket-accept", &[" s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\t"]),
            ("sec-websocket-extensions", &[""]),
            ("server", &["anything"]),
        ] {
            assert_eq!(with(name, values), Ok(Agreement::default()), "{name}: {values:?}");
        }
    }

    #[test]
    fn every_rule_is_checked() {
        for (name, values, expected) in [
            ("upgrade", &[][..], "the answer has no Upgrade: websocket"),
            ("upgrade", &[""], "the answer has no Upgrade: websocket"),
            ("upgrade", &[",", ""], "the answer has no Upgrade: websocket"),
            ("upgrade", &["h2c"], "the answer has Upgrade: h2c in place of Upgrade: websocket"),
            (
                "upgrade",
                &["websocket, h2c"],
                "the answer has Upgrade: websocket, h2c in place of Upgrade: websocket",
            ),
            ("connection", &[], "the answer has no Connection: Upgrade"),
            ("connection", &[""], "the answer has no Connection: Upgrade"),
            (
                "connection",
                &["keep-alive"],
                "the answer has Connection: keep-alive without Upgrade in it",
            ),
            ("sec-websocket-accept", &[], "the answer has no Sec-WebSocket-Accept"),
            (
                "sec-websocket-accept",
                &["c3pPLMBiTxaQ9kYGzzhZRbK+xOo="],
                "the Sec-WebSocket-Accept of the answer does not belong to the key that was sent",
            ),
            (
                "sec-websocket-accept",
                &["s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="],
                "the Sec-WebSocket-Accept of the answer does not belong to the key that was sent",
            ),
            (
                "sec-websocket-extensions",
                &["permessage-deflate; client_max_window_bits=15"],
                "the server uses an extension that nobody asked for: permessage-deflate; client_max_window_bits=15",
            ),
            (
                "sec-websocket-protocol",
                &["chat"],
                "the server chose a subprotocol that nobody offered: chat",
            ),
        ] {
            let fault = with(name, values).unwrap_err();
            assert_eq!(fault.to_string(), expected, "{name}: {values:?}");
        }
        assert_eq!(
            check(&example(), Version::HTTP_10, &headers(&ANSWER)).unwrap_err().to_string(),
            "the server answered 101 as HTTP/1.0, which cannot switch protocols"
        );
    }

    #[test]
    fn a_subprotocol_is_one_of_those_that_were_offered() {
        let request = offering(&["chat", "graphql-ws"]);
        let chosen = |lines: &[&str]| {
            answer_to(&request, "sec-websocket-protocol", lines).map(|answer| answer.subprotocol)
        };
        assert_eq!(chosen(&[]), Ok(None));
        assert_eq!(chosen(&["graphql-ws"]), Ok(Some("graphql-ws".into())));
        for wrong in
            [&["Chat"][..], &["chat, graphql-ws"], &["chat", "graphql-ws"], &["mqtt"], &[""]]
        {
            assert!(matches!(chosen(wrong), Err(Fault::UnaskedSubprotocol(_))), "{wrong:?}");
        }
    }

    #[test]
    fn compression_fits_the_offer() {
        let chosen = |lines: &[&str]| {
            answer_to(&compressing(), "sec-websocket-extensions", lines)
                .map(|answer| answer.deflate.map(|deflate| deflate.to_string()))
                .map_err(|fault| fault.to_string())
        };
        const LIMITED: &str = "permessage-deflate; client_max_window_bits=9";
        assert_eq!(chosen(&[]), Ok(None));
        assert_eq!(chosen(&[LIMITED]), Ok(Some(LIMITED.into())));
        for (wrong, expected) in [
            (
                &["x-deflate"][..],
                "its answer on compression: the extension \"x-deflate\" was not offered",
            ),
            (
                &[LIMITED, LIMITED],
                "its answer on compression: permessage-deflate was accepted twice",
            ),
            (
                &["permessage-deflate; client_max_window_bits"],
                "its answer on compression: the parameter \"client_max_window_bits\" of permessage-deflate is not valid",
            ),
        ] {
            assert_eq!(chosen(wrong), Err(expected.to_owned()));
        }
    }

    #[test]
    fn control_characters_in_an_answer_are_escaped() {
        let values = HeaderValue::from_bytes(&[b"\xff".repeat(300), b"\xc2\x9b".to_vec()].concat());
        let mut lines = headers(&ANSWER);
        lines.insert(SEC_WEBSOCKET_PROTOCOL, values.unwrap());
        let error = check(&example(), Version::HTTP_11, &lines).unwrap_err().to_string();
        assert!(error.len() < 300 && !error.chars().any(char::is_control), "{error:?}");
    }
}
