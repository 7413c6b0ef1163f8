//! The answer to the upgrade: how it is shown, and which intermediary gave it.

use hyper::header::{HeaderMap, HeaderValue, LOCATION, VIA};
use program::redacted;

use crate::format::header_name;
use crate::net::fault::Refusal;
use crate::net::upgrade::shortened;
use crate::probe::diagnosis::Intermediary;

/// Headers that are shown, beside `Location`. The first [`NAMING`] of them name who answered.
const SHOWN: [&str; 7] = [
    "server",
    "via",
    "www-authenticate",
    "proxy-authenticate",
    "retry-after",
    "upgrade",
    "sec-websocket-version",
];

/// Number of headers in [`SHOWN`] that name who answered.
const NAMING: usize = 2;

/// Header fields that identify an intermediary: the name, and a part of the value in lower case.
const MARKS: [(&str, &str, Intermediary); 30] = [
    ("cf-ray", "", Intermediary::Cloudflare),
    ("server", "cloudflare", Intermediary::Cloudflare),
    ("x-amz-cf-id", "", Intermediary::CloudFront),
    ("server", "cloudfront", Intermediary::CloudFront),
    ("via", "cloudfront", Intermediary::CloudFront),
    ("apigw-requestid", "", Intermediary::AwsApiGateway),
    ("x-amz-apigw-id", "", Intermediary::AwsApiGateway),
    ("x-amzn-errortype", "", Intermediary::AwsApiGateway),
    ("server", "awselb", Intermediary::AwsAlb),
    ("server", "google", Intermediary::Google),
    ("via", "google", Intermediary::Google),
    ("x-azure-ref", "", Intermediary::Azure),
    ("server", "microsoft-azure", Intermediary::Azure),
    ("server", "heroku", Intermediary::Heroku),
    ("via", "heroku", Intermediary::Heroku),
    ("via", "vegur", Intermediary::Heroku),
    ("server", "varnish", Intermediary::Varnish),
    ("x-varnish", "", Intermediary::Varnish),
    ("via", "varnish", Intermediary::Varnish),
    ("server", "envoy", Intermediary::Envoy),
    ("x-envoy-upstream-service-time", "", Intermediary::Envoy),
    ("server", "nginx", Intermediary::Nginx),
    ("server", "openresty", Intermediary::Nginx),
    ("server", "apache", Intermediary::Apache),
    ("server", "caddy", Intermediary::Caddy),
    ("via", "caddy", Intermediary::Caddy),
    ("server", "microsoft-iis", Intermediary::Iis),
    ("server", "squid", Intermediary::Squid),
    ("via", "squid", Intermediary::Squid),
    ("server", "tinyproxy", Intermediary::Tinyproxy),
];

/// Parts of pages that an intermediary makes itself, in lower case.
const PAGES: [(&str, Intermediary); 18] = [
    ("<title>welcome to nginx!</title>", Intermediary::Nginx),
    ("apache2 debian default page: it works", Intermediary::Apache),
    ("<center>nginx", Intermediary::Nginx),
    ("<center>openresty", Intermediary::Nginx),
    ("<address>apache", Intermediary::Apache),
    // Without a signature below (`ServerSignature Off`).
    ("you don't have permission to access this resource", Intermediary::Apache),
    ("the requested url was not found on this server", Intermediary::Apache),
    ("unable to service your request due to maintenance downtime", Intermediary::Apache),
    ("received an invalid response from an upstream server", Intermediary::Apache),
    ("did not receive a timely response from the upstream server", Intermediary::Apache),
    ("<html><body><h1>4", Intermediary::Haproxy),
    ("<html><body><h1>5", Intermediary::Haproxy),
    ("no healthy upstream", Intermediary::Envoy),
    ("upstream connect error", Intermediary::Envoy),
    ("upstream request timeout", Intermediary::Envoy),
    ("no available server", Intermediary::Traefik),
    ("guru meditation", Intermediary::Varnish),
    ("herokucdn.com/error-pages", Intermediary::Heroku),
];

/// The intermediaries that an answer identifies, those nearest to the client first.
pub(super) fn intermediaries(headers: &HeaderMap, body: &str) -> Vec<Intermediary> {
    let has = |name: &str, part: &str| {
        let mut values = headers.get_all(name).iter();
        values.any(|value| part.is_empty() || lower(value.as_bytes()).contains(part))
    };
    let marked = MARKS.iter().filter(|(name, part, _)| has(name, part)).map(|mark| mark.2);
    let mut found = Vec::new();
    for intermediary in marked.chain(page(body)) {
        if !found.contains(&intermediary) {
            found.push(intermediary);
        }
    }
    found
}

/// The intermediary that made this answer itself, without a server behind it.
pub(super) fn author(refusal: &Refusal) -> Option<Intermediary> {
    let marks = intermediaries(&refusal.headers, "");
    let is_bare = |intermediary: &&Intermediary| match intermediary {
        // An ALB leaves the header of a server behind it as it is.
        Intermediary::AwsAlb => true,
        Intermediary::Caddy => refusal.body.is_empty() && !refusal.headers.contains_key(VIA),
        _ => false,
    };
    page(&refusal.body).or_else(|| marks.iter().find(is_bare).copied())
}

/// The intermediary whose own page this is.
fn page(body: &str) -> Option<Intermediary> {
    let words: Vec<_> = body.split_ascii_whitespace().collect();
    let body = words.join(" ").to_ascii_lowercase();
    let is_of = |text: &str| match text.starts_with("<html><body>") {
        true => body.starts_with(text),
        false => body.contains(text),
    };
    PAGES.iter().find(|(text, _)| is_of(text)).map(|(_, intermediary)| *intermediary)
}

/// Text in lower case.
pub(super) fn lower(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).to_ascii_lowercase()
}

/// The lines that show an answer: status line, headers, first line of the body.
pub(super) fn lines(refusal: &Refusal) -> Vec<String> {
    let Refusal { version, status, headers, body } = refusal;
    let reason = status.canonical_reason().unwrap_or("(no registered status)");
    let mut lines = vec![format!("{version:?} {} {reason}", status.as_u16())];
    if let Some(location) = headers.get(LOCATION) {
        let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
        lines.push(format!("Location: {}", shortened(&redacted(&location))));
    }
    lines.extend(header_lines(headers, &SHOWN));
    lines.extend(first_line(body));
    lines
}

/// `Server` and `Via` of an answer.
pub(super) fn who(headers: &HeaderMap) -> Vec<String> {
    header_lines(headers, &SHOWN[..NAMING])
}

fn header_lines(headers: &HeaderMap, names: &[&'static str]) -> Vec<String> {
    let line = |name: &str, value: &HeaderValue| {
        let value = String::from_utf8_lossy(value.as_bytes());
        format!("{}: {}", header_name(name), shortened(&value))
    };
    let lines = names
        .iter()
        .flat_map(|name| headers.get_all(*name).iter().map(move |value| line(name, value)));
    lines.collect()
}

/// The first line of text in a body, without HTML tags, styles and scripts.
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
    Some(shortened(line))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use hyper::header::HeaderName;
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
    fn an_answer_identifies_intermediaries() {
        for (lines, body, found) in [
            (&[("server", "nginx/1.22.1")][..], "", &[Intermediary::Nginx][..]),
            (&[("server", "openresty")], "", &[Intermediary::Nginx]),
            (&[("server", "Apache/2.4.71 (Debian)")], "", &[Intermediary::Apache]),
            (&[("server", "istio-envoy")], "", &[Intermediary::Envoy]),
            (&[("server", "awselb/2.0")], "", &[Intermediary::AwsAlb]),
            (
                &[("server", "nginx"), ("via", "1.1 abc.cloudfront.net (CloudFront)")],
                "",
                &[Intermediary::CloudFront, Intermediary::Nginx],
            ),
            (&[("cf-ray", "1")], "", &[Intermediary::Cloudflare]),
            (
                &[],
                "<html><body><h1>503 Service Unavailable</h1>\nNo server",
                &[Intermediary::Haproxy],
            ),
            (&[("server", "uvicorn")], "<p><html><body><h1>503", &[]),
            (&[], "", &[]),
        ] {
            let answer = answer(503, lines, body);
            assert_eq!(intermediaries(&answer.headers, body), found, "{lines:?} {body}");
        }
    }

    #[test]
    fn a_page_may_break_its_lines_anywhere() {
        let page = "<p>The server is temporarily unable to service your\nrequest due to maintenance downtime or capacity\nproblems.";
        assert_eq!(author(&answer(503, &[], page)), Some(Intermediary::Apache));
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
            assert_eq!(
                author(&answer(status, &apache, &page)),
                Some(Intermediary::Apache),
                "{text}"
            );
        }
    }

    #[test]
    fn the_author_is_the_proxy_itself_or_unknown() {
        let nginx = "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not Found</h1></center>\r\n<hr><center>nginx/1.22.1</center>";
        for (lines, body, found) in [
            (&[("server", "nginx/1.22.1")][..], nginx, Some(Intermediary::Nginx)),
            (&[("server", "nginx/1.22.1")], "{\"detail\":\"Not Found\"}", None),
            (&[("server", "awselb/2.0")], "", Some(Intermediary::AwsAlb)),
            (&[("server", "Caddy")], "", Some(Intermediary::Caddy)),
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
    fn shown_answers_have_no_password() {
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
