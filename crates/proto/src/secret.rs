//! Secrets in the head of a request, which are shown as their lengths: `(42-byte-secret)`.

use std::borrow::Cow;

/// Parts of the names of secrets, in lower case: passwords, tokens, cookies, and the identity
/// headers of proxies that log people in.
const SECRET_NAMES: [&str; 17] = [
    "auth",
    "cookie",
    "token",
    "secret",
    "passw",
    "pwd",
    "api-key",
    "api_key",
    "apikey",
    "access-key",
    "access_key",
    "signature",
    "client-cert",
    "jwt",
    "oidc",
    "session",
    "credential",
];

/// Whether a header, or a parameter of a query, is a secret, by its name.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|part| name.contains(part))
}

/// Parts of the names of headers whose values are URLs, in lower case.
const URL_NAMES: [&str; 3] = ["referer", "url", "uri"];

/// The value of a header, with the length in place of a secret or of a secret in the query of a URL.
#[must_use]
pub fn shown<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    if is_secret(name) {
        return format!("({}-byte-secret)", value.len()).into();
    }
    let name = name.to_ascii_lowercase();
    if URL_NAMES.iter().any(|part| name.contains(part)) { shown_line(value) } else { value.into() }
}

/// A request line or URL, with lengths in place of the secrets in the query.
#[must_use]
pub fn shown_line(line: &str) -> Cow<'_, str> {
    let Some((before, rest)) = line.split_once('?') else { return line.into() };
    let (query, version) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
    let shown = query.split('&').map(|parameter| match parameter.split_once('=') {
        Some((name, value)) => format!("{name}={}", shown(name, value)),
        None => parameter.into(),
    });
    format!("{before}?{}{version}", shown.collect::<Vec<_>>().join("&")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_as_its_length() {
        for name in [
            "Authorization",
            "Proxy-Authorization",
            "COOKIE",
            "X-Api-Key",
            "X-CSRF-Token",
            "Cf-Access-Jwt-Assertion",
            "X-Amzn-Oidc-Data",
            "X-Forwarded-Client-Cert",
        ] {
            assert_eq!(shown(name, "Basic dTpw"), "(10-byte-secret)", "{name}");
        }
        for name in ["Host", "Sec-WebSocket-Key", "X-Forwarded-For", "Origin", "User-Agent", "Via"]
        {
            assert_eq!(shown(name, "Basic dTpw"), "Basic dTpw", "{name}");
        }
    }

    #[test]
    fn a_secret_in_the_query_is_shown_as_its_length() {
        for (line, expected) in [
            ("GET /probe HTTP/1.1", "GET /probe HTTP/1.1"),
            ("GET /probe?a=1&b HTTP/1.1", "GET /probe?a=1&b HTTP/1.1"),
            ("GET /probe?token=abc&x=1 HTTP/1.1", "GET /probe?token=(3-byte-secret)&x=1 HTTP/1.1"),
            ("GET /probe?x=1&Api_Key= HTTP/1.1", "GET /probe?x=1&Api_Key=(0-byte-secret) HTTP/1.1"),
            ("?", "?"),
        ] {
            assert_eq!(shown_line(line), expected);
        }
        let url = "https://example.com/a?token=abc";
        for name in ["Referer", "X-Original-URL"] {
            assert_eq!(shown(name, url), "https://example.com/a?token=(3-byte-secret)");
        }
        assert_eq!(shown("X-Other", url), url);
    }
}
