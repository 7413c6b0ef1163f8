//! The answer of a server that does not switch protocols.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{
    CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::http::response::Parts;
use program::redacted;
use proto::escape;
use tokio::time::timeout;

use crate::net::error::{ConnectError, Redirect};
use crate::net::fault::{Fault, MAX_BODY, NO_ROOM, Refusal};
use crate::net::http::Answer;
use crate::net::redirects::target;
use crate::net::url::ServerUrl;

/// Longest text of the server that is shown, in bytes.
const SHOWN: usize = 200;

/// Longest wait for the body, after the head.
const BODY_TIMEOUT: Duration = Duration::from_millis(500);

/// Longest pause that is accepted from `Retry-After`: a wrong date must not stop the client for
/// years.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// The error for an answer to a request for `url`: its status, its redirect, and the explanation in
/// its body.
pub(super) async fn explain(
    answer: Answer,
    url: &ServerUrl,
    has_credentials: bool,
) -> ConnectError {
    let refusal = refusal(answer).await;
    let Refusal { status, headers, body, .. } = &*refusal;
    // An HTML page does not begin with a sentence.
    let is_plain = media_type(headers).starts_with(b"text/plain");
    let body = if is_plain { &body[..body.floor_char_boundary(SHOWN)] } else { "" };
    ConnectError::refused(
        cause(url, *status, headers, body, has_credentials),
        retry_after(*status, headers, Utc::now()),
    )
    .redirecting(redirect(*status, headers))
    .of(Fault::Refused(refusal))
}

/// The answer with the beginning of its body, if that is text. The HTTP connection must run
/// meanwhile.
pub(in crate::net) async fn refusal(answer: Answer) -> Box<Refusal> {
    let (Parts { version, status, headers, .. }, body) = answer.into_parts();
    let media_type = media_type(&headers);
    let is_text = [&b"text/"[..], b"application/json", b"application/problem+json"]
        .iter()
        .any(|text| media_type.starts_with(text));
    let is_readable = (is_text || media_type.is_empty()) && !headers.contains_key(CONTENT_ENCODING);
    let body = if is_readable { beginning(body).await } else { Vec::new() };
    let body = String::from_utf8_lossy(&body).into_owned();
    Box::new(Refusal { version, status, headers, body })
}

/// The value of `Content-Type` in lower case; empty without one.
fn media_type(headers: &HeaderMap) -> Vec<u8> {
    headers.get(CONTENT_TYPE).map_or_else(Vec::new, |kind| kind.as_bytes().to_ascii_lowercase())
}

/// The redirect of an answer, if a client may follow it without asking the user (RFC 9110, section
/// 15.4: a 300 leaves the choice to the user).
fn redirect(status: StatusCode, headers: &HeaderMap) -> Option<Redirect> {
    let location = location(headers).filter(|location| !location.is_empty())?;
    [301, 302, 303, 307, 308].contains(&status.as_u16()).then_some(Redirect { status, location })
}

/// The value of the header `Location`, which should be ASCII.
fn location(headers: &HeaderMap) -> Option<String> {
    Some(String::from_utf8_lossy(headers.get(LOCATION)?.as_bytes()).into_owned())
}

/// The first bytes of a body that arrive in time.
async fn beginning(mut body: Incoming) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = async {
        while bytes.len() < MAX_BODY
            && let Some(Ok(frame)) = body.frame().await
        {
            if let Some(data) = frame.data_ref() {
                bytes.extend_from_slice(&data[..data.len().min(MAX_BODY - bytes.len())]);
            }
        }
    };
    // After the time limit, the bytes so far are enough.
    let _ = timeout(BODY_TIMEOUT, read).await;
    bytes
}

fn cause(
    url: &ServerUrl,
    status: StatusCode,
    headers: &HeaderMap,
    body: &str,
    has_credentials: bool,
) -> String {
    let answered = format!("the server answered {status}");
    if status.is_redirection()
        && let Some(location) = location(headers)
    {
        if location.is_empty() {
            return format!(
                "{answered} with an empty Location, so where it redirects to is not known"
            );
        }
        let redirect = Redirect { status, location };
        return target(url, &redirect).map_or_else(
            |fault| fault,
            |target| {
                let location = shortened(&redacted(&redirect.location));
                let target = shortened(&target.to_string());
                format!(
                    "{answered} and redirects to {location}: use {target} as the URL if that is right, or --location (-L) to follow it"
                )
            },
        );
    }
    if status == StatusCode::UNAUTHORIZED {
        let challenge = header_text(headers, &WWW_AUTHENTICATE);
        let example = "ws://USER:PASSWORD@HOST or --user USER:PASSWORD";
        return unauthorized(&answered, challenge, has_credentials, example);
    }
    match first_sentence(body) {
        Some(sentence) => format!("{answered}: {sentence}"),
        None => answered,
    }
}

/// Explains an answer that asks for credentials with this challenge (RFC 9110, section 11.3).
pub(in crate::net) fn unauthorized(
    answered: &str,
    challenge: Option<String>,
    has_credentials: bool,
    example: &str,
) -> String {
    let challenge = challenge.map_or_else(String::new, |challenge| format!(" ({challenge})"));
    if has_credentials {
        format!("{answered}: it does not accept the user and password that were sent{challenge}")
    } else {
        format!("{answered}: it wants a user and a password{challenge}, as in {example}")
    }
}

/// The value of a header, safe to print.
pub(in crate::net) fn header_text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = shortened(&String::from_utf8_lossy(headers.get(name)?.as_bytes()));
    (!value.is_empty()).then_some(value)
}

/// The beginning of a text of the server, safe to print.
pub(crate) fn shortened(text: &str) -> String {
    escape::plain(&text[..text.floor_char_boundary(SHOWN)])
}

/// The first line of a text, without an incomplete sentence at its end: `There is no /x here.` of
/// `There is no /x here. The paths of this server:`.
fn first_sentence(body: &str) -> Option<String> {
    let line = body.lines().map(str::trim).find(|line| !line.is_empty())?;
    let finished =
        if line.ends_with(':') { line.rfind(". ").map_or(line, |end| &line[..=end]) } else { line };
    Some(escape::plain(finished))
}

/// The pause that a server without room asks for: a number of seconds or a date (RFC 9110, section
/// 10.2.3).
fn retry_after(status: StatusCode, headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    if !NO_ROOM.contains(&status) {
        return None;
    }
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let time = if is_number {
        // A number that does not fit is longer than any pause that is accepted.
        value.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs)
    } else {
        let date = DateTime::parse_from_rfc2822(value).ok()?;
        // A date in the past asks for no pause.
        date.signed_duration_since(now).to_std().unwrap_or_default()
    };
    Some(time.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;
    use hyper::header::HeaderValue;

    fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        let line = |(name, value): &(HeaderName, &str)| {
            (name.clone(), HeaderValue::from_str(value).unwrap())
        };
        lines.iter().map(line).collect()
    }

    fn base() -> ServerUrl {
        "wss://server/a/b".parse().unwrap()
    }

    #[test]
    fn the_first_sentence_is_whole() {
        for (body, sentence) in [
            ("All taken\nx", Some("All taken")),
            ("\n  All taken. Try later.\r\n", Some("All taken. Try later.")),
            (
                "There is no /x here. The paths of this server:\n  /  pings\n",
                Some("There is no /x here."),
            ),
            ("The paths:\n /\n", Some("The paths:")),
            ("\u{1b}[2J", Some(r"\u001b[2J")),
            ("", None),
            ("\n\n", None),
        ] {
            assert_eq!(first_sentence(body).as_deref(), sentence, "{body:?}");
        }
    }

    #[test]
    fn the_error_shows_where_a_redirect_leads() {
        for (location, url) in [
            ("https://other.example/ws", "wss://other.example/ws"),
            ("http://other.example/ws", "ws://other.example/ws"),
            ("wss://other.example/ws", "wss://other.example/ws"),
            ("/login", "wss://server/login"),
            ("/", "wss://server/"),
            ("//other/x", "wss://other/x"),
            ("ws://user:secret@other", "ws://other"),
        ] {
            assert_eq!(
                cause(&base(), StatusCode::FOUND, &headers(&[(LOCATION, location)]), "x", false),
                format!(
                    "the server answered 302 Found and redirects to {}: use {url} as the URL if that is right, or --location (-L) to follow it",
                    redacted(location)
                )
            );
        }
        let long = format!("ws://user:{}@other", "secret".repeat(50));
        let shown = cause(&base(), StatusCode::FOUND, &headers(&[(LOCATION, &long)]), "", false);
        assert!(shown.contains(" to ws://***@other: ") && !shown.contains("secret"), "{shown}");
        let bare = cause(&base(), StatusCode::MOVED_PERMANENTLY, &HeaderMap::new(), "", false);
        assert_eq!(bare, "the server answered 301 Moved Permanently");
        for (location, told) in [
            ("", "the server answered 302 Found with an empty Location, so "),
            (
                "ftp://other/x",
                "the server answered 302 Found and redirects to ftp://other/x, which is no URL for a WebSocket: ",
            ),
            (
                "/\u{e4}",
                "the server answered 302 Found and redirects to /\u{e4}, which is no URL for a WebSocket: ",
            ),
        ] {
            let value = HeaderValue::from_bytes(location.as_bytes()).unwrap();
            let headers = HeaderMap::from_iter([(LOCATION, value)]);
            let cause = cause(&base(), StatusCode::FOUND, &headers, "", false);
            assert!(cause.starts_with(told) && !cause.contains("--location"), "{cause}");
            // With --location the same is told, as a redirect that is not followed.
            let is_known = redirect(StatusCode::FOUND, &headers).is_some();
            assert_eq!(is_known, !location.is_empty(), "{location}");
        }
    }

    #[test]
    fn retry_after_is_a_number_or_a_date() {
        let now = Utc.with_ymd_and_hms(2015, 10, 21, 7, 27, 0).unwrap();
        let asked = |status, value| retry_after(status, &headers(&[(RETRY_AFTER, value)]), now);
        for (value, seconds) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(60)),
            ("Wed, 21 Oct 2015 07:26:00 GMT", Some(0)),
            ("Sun, 21 Oct 2035 07:28:00 GMT", Some(3600)),
            ("999999999999", Some(3600)),
            ("18446744073709551616", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("", None),
            ("+7", None),
            ("-1", None),
            ("soon", None),
        ] {
            for status in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS] {
                assert_eq!(asked(status, value), seconds.map(Duration::from_secs), "{value}");
            }
            assert_eq!(asked(StatusCode::FORBIDDEN, value), None);
        }
    }
}
