//! What an answer says, and who has answered.

use hyper::header::{HeaderMap, HeaderName, LOCATION, VIA};
use program::redacted;
use proto::escape;

use crate::net::fault::Refusal;
use crate::probe::diagnosis::Middle;

/// Most of a text of the server that is shown, in bytes.
const SHOWN: usize = 200;

/// Headers that are shown, beside `Location`; those that tell who answers first.
const TOLD: [&str; 7] = [
    "server",
    "via",
    "www-authenticate",
    "proxy-authenticate",
    "retry-after",
    "upgrade",
    "sec-websocket-version",
];

/// What the answer of a program or service contains: the name of a header, and a part of its value
/// in lower case.
const MARKS: [(&str, &str, Middle); 30] = [
    ("cf-ray", "", Middle::Cloudflare),
    ("server", "cloudflare", Middle::Cloudflare),
    ("x-amz-cf-id", "", Middle::CloudFront),
    ("server", "cloudfront", Middle::CloudFront),
    ("via", "cloudfront", Middle::CloudFront),
    ("apigw-requestid", "", Middle::AwsApiGateway),
    ("x-amz-apigw-id", "", Middle::AwsApiGateway),
    ("x-amzn-errortype", "", Middle::AwsApiGateway),
    ("server", "awselb", Middle::AwsAlb),
    ("server", "google", Middle::Google),
    ("via", "google", Middle::Google),
    ("x-azure-ref", "", Middle::Azure),
    ("server", "microsoft-azure", Middle::Azure),
    ("server", "heroku", Middle::Heroku),
    ("via", "heroku", Middle::Heroku),
    ("via", "vegur", Middle::Heroku),
    ("server", "varnish", Middle::Varnish),
    ("x-varnish", "", Middle::Varnish),
    ("via", "varnish", Middle::Varnish),
    ("server", "envoy", Middle::Envoy),
    ("x-envoy-upstream-service-time", "", Middle::Envoy),
    ("server", "nginx", Middle::Nginx),
    ("server", "openresty", Middle::Nginx),
    ("server", "apache", Middle::Apache),
    ("server", "caddy", Middle::Caddy),
    ("via", "caddy", Middle::Caddy),
    ("server", "microsoft-iis", Middle::Iis),
    ("server", "squid", Middle::Squid),
    ("via", "squid", Middle::Squid),
    ("server", "tinyproxy", Middle::Tinyproxy),
];

/// What the pages contain that a proxy makes itself, in lower case.
const PAGES: [(&str, Middle); 18] = [
    ("<title>welcome to nginx!</title>", Middle::Nginx),
    ("apache2 debian default page: it works", Middle::Apache),
    ("<center>nginx", Middle::Nginx),
    ("<center>openresty", Middle::Nginx),
    ("<address>apache", Middle::Apache),
    // Without a signature below (`ServerSignature Off`).
    ("you don't have permission to access this resource", Middle::Apache),
    ("the requested url was not found on this server", Middle::Apache),
    ("unable to service your request due to maintenance downtime", Middle::Apache),
    ("received an invalid response from an upstream server", Middle::Apache),
    ("did not receive a timely response from the upstream server", Middle::Apache),
    ("<html><body><h1>4", Middle::Haproxy),
    ("<html><body><h1>5", Middle::Haproxy),
    ("no healthy upstream", Middle::Envoy),
    ("upstream connect error", Middle::Envoy),
    ("upstream request timeout", Middle::Envoy),
    ("no available server", Middle::Traefik),
    ("guru meditation", Middle::Varnish),
    ("herokucdn.com/error-pages", Middle::Heroku),
];

/// The programs and services whose marks an answer has, those nearest to the client first.
pub(super) fn middles(headers: &HeaderMap, body: &str) -> Vec<Middle> {
    let has = |name: &str, part: &str| {
        let mut values = headers.get_all(name).iter();
        values.any(|value| part.is_empty() || lower(value.as_bytes()).contains(part))
    };
    let marked = MARKS.iter().filter(|(name, part, _)| has(name, part)).map(|mark| mark.2);
    let mut found: Vec<_> = marked.chain(page(body)).collect();
    let mut known = Vec::new();
    found.retain(|middle| {
        !known.contains(middle) && {
            known.push(*middle);
            true
        }
    });
    found
}

/// The proxy that made this answer itself, without the server behind it.
pub(super) fn author(refusal: &Refusal) -> Option<Middle> {
    let marks = middles(&refusal.headers, "");
    let is_bare = |middle: &&Middle| match middle {
        // These answer themselves, or leave the header of the server behind them.
        Middle::AwsAlb => true,
        Middle::Caddy => refusal.body.is_empty() && !refusal.headers.contains_key(VIA),
        _ => false,
    };
    page(&refusal.body).or_else(|| marks.iter().find(is_bare).copied())
}

fn page(body: &str) -> Option<Middle> {
    let words: Vec<_> = body.split_ascii_whitespace().collect();
    let body = words.join(" ").to_ascii_lowercase();
    let is_of = |text: &str| match text.starts_with("<html><body>") {
        true => body.starts_with(text),
        false => body.contains(text),
    };
    PAGES.iter().find(|(text, _)| is_of(text)).map(|(_, middle)| *middle)
}

pub(super) fn lower(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).to_ascii_lowercase()
}

/// The lines that show an answer: version and status, headers, the first line of the text.
pub(super) fn lines(refusal: &Refusal) -> Vec<String> {
    let Refusal { version, status, headers, body } = refusal;
    let reason = status.canonical_reason().unwrap_or("(no registered status)");
    let mut lines = vec![format!("{version:?} {} {reason}", status.as_u16())];
    if let Some(location) = headers.get(LOCATION) {
        let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
        lines.push(format!("Location: {}", short(&redacted(&location))));
    }
    lines.extend(headers_told(headers, &TOLD));
    lines.extend(first_line(body));
    lines
}

/// `Server` and `Via` of an answer.
pub(super) fn who(headers: &HeaderMap) -> Vec<String> {
    headers_told(headers, &TOLD[..2])
}

fn headers_told(headers: &HeaderMap, names: &[&'static str]) -> Vec<String> {
    let told = names.iter().map(|name| HeaderName::from_static(name));
    let lines = told.flat_map(|name| {
        let values = headers.get_all(&name).iter();
        values.map(move |value| {
            format!(
                "{}: {}",
                spelled(name.as_str()),
                short(&String::from_utf8_lossy(value.as_bytes()))
            )
        })
    });
    lines.collect()
}

/// A name in the usual spelling: `content-type` as `Content-Type`.
fn spelled(name: &str) -> String {
    let part = |part: &str| match part {
        "www" => "WWW".to_owned(),
        "websocket" => "WebSocket".to_owned(),
        part => part[..1].to_ascii_uppercase() + &part[1..],
    };
    name.split('-').map(part).collect::<Vec<_>>().join("-")
}

/// The first line of a body, without the marks of HTML and what stands in its head.
pub(super) fn first_line(body: &str) -> Option<String> {
    let mut text = String::new();
    let mut rest = body;
    while let Some(start) = rest.find('<') {
        text.push_str(&rest[..start]);
        let Some(end) = rest[start..].find('>') else {
            rest = "";
            break;
        };
        let tag = rest[start + 1..start + end].to_ascii_lowercase();
        rest = &rest[start + end + 1..];
        for hidden in ["style", "script"] {
            if tag.starts_with(hidden) {
                let close = rest.to_ascii_lowercase().find(&format!("</{hidden}"));
                rest = close.map_or("", |close| &rest[close..]);
            }
        }
        if ["/title", "/h1", "/h2", "/p", "br", "/head", "/div"]
            .iter()
            .any(|end| tag.starts_with(end))
        {
            text.push('\n');
        }
    }
    text.push_str(rest);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(short(line))
}

/// The beginning of a text, safe to print.
pub(super) fn short(text: &str) -> String {
    escape::plain(&text[..text.floor_char_boundary(SHOWN)])
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use hyper::header::HeaderValue;
    use hyper::{StatusCode, Version};
    use proptest::prelude::*;

    /// An answer with these headers and body.
    pub(in super::super) fn answer(
        status: u16,
        lines: &[(&'static str, &str)],
        body: &str,
    ) -> Refusal {
        let line = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        Refusal {
            version: Version::HTTP_11,
            status: StatusCode::from_u16(status).unwrap(),
            headers: lines.iter().map(line).collect(),
            body: body.into(),
        }
    }

    #[test]
    fn an_answer_shows_who_gave_it() {
        for (lines, body, found) in [
            (&[("server", "nginx/1.22.1")][..], "", &[Middle::Nginx][..]),
            (&[("server", "openresty")], "", &[Middle::Nginx]),
            (&[("server", "Apache/2.4.71 (Debian)")], "", &[Middle::Apache]),
            (&[("server", "istio-envoy")], "", &[Middle::Envoy]),
            (&[("server", "awselb/2.0")], "", &[Middle::AwsAlb]),
            (
                &[("server", "nginx"), ("via", "1.1 abc.cloudfront.net (CloudFront)")],
                "",
                &[Middle::CloudFront, Middle::Nginx],
            ),
            (&[("cf-ray", "1")], "", &[Middle::Cloudflare]),
            (&[], "<html><body><h1>503 Service Unavailable</h1>\nNo server", &[Middle::Haproxy]),
            (&[("server", "uvicorn")], "<p><html><body><h1>503", &[]),
            (&[], "", &[]),
        ] {
            let answer = answer(503, lines, body);
            assert_eq!(middles(&answer.headers, body), found, "{lines:?} {body}");
        }
    }

    #[test]
    fn a_page_may_break_its_lines_anywhere() {
        let page = "<p>The server is temporarily unable to service your\nrequest due to maintenance downtime or capacity\nproblems.";
        assert_eq!(author(&answer(503, &[], page)), Some(Middle::Apache));
    }

    #[test]
    fn a_page_of_apache_needs_no_signature() {
        let apache = [("server", "Apache/2.4.71 (Debian)")];
        for (status, text) in [
            (403, "<p>You don't have permission to access this resource.</p>"),
            (404, "<p>The requested URL was not found on this server.</p>"),
        ] {
            let page = format!(
                "<html><head>\n<title>{status}</title>\n</head><body>\n{text}\n</body></html>\n"
            );
            assert_eq!(author(&answer(status, &apache, &page)), Some(Middle::Apache), "{text}");
        }
    }

    #[test]
    fn the_author_is_the_proxy_itself_or_unknown() {
        let nginx = "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not Found</h1></center>\r\n<hr><center>nginx/1.22.1</center>";
        for (lines, body, found) in [
            (&[("server", "nginx/1.22.1")][..], nginx, Some(Middle::Nginx)),
            (&[("server", "nginx/1.22.1")], "{\"detail\":\"Not Found\"}", None),
            (&[("server", "awselb/2.0")], "", Some(Middle::AwsAlb)),
            (&[("server", "Caddy")], "", Some(Middle::Caddy)),
            (&[("server", "Caddy"), ("via", "1.1 Caddy")], "", None),
            (&[("server", "Caddy")], "no such page", None),
        ] {
            assert_eq!(author(&answer(404, lines, body)), found, "{lines:?} {body}");
        }
    }

    #[test]
    fn the_first_line_is_one_of_text() {
        for (body, line) in [
            ("one\ntwo", Some("one")),
            ("\n\n  x  ", Some("x")),
            ("<html>\n<head><title>404 Not Found</title></head>\n<body>", Some("404 Not Found")),
            (
                "<html><body><h1>503 Service Unavailable</h1>\nNo server",
                Some("503 Service Unavailable"),
            ),
            ("<style>a{}</style><p>text", Some("text")),
            ("<script>a<b", None),
            ("{\"detail\":\"Not Found\"}", Some("{\"detail\":\"Not Found\"}")),
            ("\u{1b}[2J", Some(r"\u001b[2J")),
            ("<", None),
            ("", None),
        ] {
            assert_eq!(first_line(body).as_deref(), line, "{body}");
        }
    }

    #[test]
    fn what_is_shown_has_no_password() {
        let refusal =
            answer(302, &[("location", "https://user:secret@other/x"), ("server", "x")], "");
        assert_eq!(
            lines(&refusal),
            ["HTTP/1.1 302 Found", "Location: https://***@other/x", "Server: x"]
        );
    }

    proptest! {
        #[test]
        fn no_body_panics(body in any::<String>(), tail in "[<>a-zé]{0,40}") {
            for body in [&body, &tail] {
                let _ = first_line(body);
                let _ = page(body);
            }
        }
    }
}
