//! Which web pages may connect (RFC 6455, section 10.2): a browser sends the origin of the page with
//! each upgrade; other programs send none.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;
use hyper::header::{self, HeaderMap, HeaderValue};

/// The origins of pages that may connect (`ALLOWED_ORIGINS`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins(Vec<Origin>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    /// Every page.
    Any,
    /// The pages of the server itself, under whatever name it was reached.
    Own,
    /// `null`, which sandboxed pages and files have, or `SCHEME://HOST[:PORT]` as browsers write
    /// it (RFC 6454, section 6.2).
    Named(String),
}

/// The error for a text that is not a list of origins.
const INVALID: &str = "allowed is a list such as https://example.com,http://localhost:3000,self (self is the server's own page)";

impl Origins {
    /// The first origin in the head of a request that may not connect; `None` if all may.
    #[must_use]
    pub fn refused<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let host = headers.get(header::HOST);
        let mut origins = headers.get_all(header::ORIGIN).iter();
        origins.find(|origin| !self.0.iter().any(|allowed| allowed.is(origin, host)))
    }
}

impl Origin {
    fn is(&self, origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
        let origin = origin.as_bytes();
        match self {
            Self::Any => true,
            Self::Named(name) => origin.eq_ignore_ascii_case(name.as_bytes()),
            Self::Own => host.is_some_and(|host| {
                let own = |scheme: &str| [scheme.as_bytes(), host.as_bytes()].concat();
                ["http://", "https://"]
                    .iter()
                    .any(|scheme| origin.eq_ignore_ascii_case(&own(scheme)))
            }),
        }
    }
}

impl FromStr for Origins {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        text.split(',').map(|part| part.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Origin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "*" => return Ok(Self::Any),
            "self" => return Ok(Self::Own),
            "null" => return Ok(Self::Named(text.into())),
            _ => {}
        }
        let uri: Uri = text.parse().map_err(|_| INVALID)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(INVALID);
        };
        let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        if !is_bare || authority.as_str().contains('@') || text.ends_with("//") {
            return Err(INVALID);
        }
        let host = authority.host();
        let port = match (scheme, authority.port_u16()) {
            // Browsers leave default ports out.
            ("http" | "ws", Some(80)) | ("https" | "wss", Some(443)) | (_, None) => String::new(),
            (_, Some(port)) => format!(":{port}"),
        };
        Ok(Self::Named(format!("{scheme}://{host}{port}").to_ascii_lowercase()))
    }
}

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |origin: &'_ Origin| match origin {
            Origin::Any => "*".to_owned(),
            Origin::Own => "self".to_owned(),
            Origin::Named(name) => name.clone(),
        };
        f.write_str(&self.0.iter().map(name).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(host: &str, origins: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        for origin in origins {
            headers.append(header::ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    fn allows(allowed: &str, host: &str, origins: &[&str]) -> bool {
        allowed.parse::<Origins>().unwrap().refused(&headers(host, origins)).is_none()
    }

    #[test]
    fn a_named_origin_may_connect_and_no_other() {
        let allowed = "https://Example.com:443/, http://localhost:3000,null";
        for (origins, may_connect) in [
            (&["https://example.com"][..], true),
            (&["http://localhost:3000"], true),
            (&["null"], true),
            // A program that is no browser sends no origin.
            (&[], true),
            (&["https://example.com", "https://evil.org"], false),
            (&["http://example.com"], false),
            (&["https://example.com.evil.org"], false),
            (&["https://evil-example.com"], false),
            (&["https://example.com:8443"], false),
            (&["http://localhost"], false),
            (&["http://server:8765"], false),
            (&[""], false),
        ] {
            assert_eq!(allows(allowed, "server:8765", origins), may_connect, "{origins:?}");
        }
    }

    #[test]
    fn self_is_the_host_header_of_the_request() {
        for (allowed, host, origin, may_connect) in [
            ("self", "server:8765", "http://server:8765", true),
            ("self", "server", "https://SERVER", true),
            ("self", "server:8765", "http://server", false),
            ("self", "server:8765", "http://evil:8765", false),
            ("*", "server", "http://evil", true),
        ] {
            assert_eq!(allows(allowed, host, &[origin]), may_connect, "{allowed} {origin}");
        }
    }

    #[test]
    fn an_invalid_list_of_origins_is_refused() {
        for text in [
            "",
            ",",
            "example.com",
            "localhost:3000",
            "https://",
            "https://a/b",
            "https://a?b",
            "https://u@a",
            "https://a,,https://b",
        ] {
            assert_eq!(text.parse::<Origins>(), Err(INVALID), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_origin_is_shown_as_it_is_read(scheme in "https?", host in "[a-z][a-z0-9.-]{0,9}[a-z]", port: u16) {
            let text = format!("{scheme}://{host}:{port},self,*");
            let origins: Origins = text.parse().unwrap();
            prop_assert_eq!(origins.to_string().parse::<Origins>(), Ok(origins));
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = text.parse::<Origins>();
        }
    }
}
