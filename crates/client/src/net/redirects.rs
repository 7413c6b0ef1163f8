//! Redirects (`--location`): the target of each, and the chain of several.

use hyper::header::{AUTHORIZATION, COOKIE, HOST};
use program::redacted;
use tokio::time::Instant;

use super::Endpoint;
use super::error::{ConnectError, Redirect};
use super::route::{Reached, Route};
use super::upgrade::shortened;
use super::url::ServerUrl;

/// Longest chain of redirects.
const MAX_REDIRECTS: usize = 10;

/// Connects to the server, or to the one that it redirects to if redirects are followed.
///
/// # Errors
/// Why there is no connection, or why a redirect is not followed.
pub(super) async fn reach(
    endpoint: &Endpoint,
    deadline: Instant,
) -> Result<(Route, Reached), ConnectError> {
    let mut endpoint = endpoint.clone();
    let mut chain = Chain::new(&endpoint.url);
    loop {
        let route = Route::find(&endpoint, deadline).await.map_err(|error| chain.explain(error))?;
        match route.connect(deadline, |_| None).await {
            Ok(reached) => {
                if chain.urls.len() > 1 {
                    endpoint.options.notices.redirect.log(&chain.to_string());
                }
                return Ok((route, reached));
            }
            Err(error) => match error.redirect().filter(|_| endpoint.options.follows_redirects) {
                Some(redirect) => {
                    let url =
                        target(&endpoint.url, redirect).map_err(|error| chain.explain(error))?;
                    chain.add(redirect, &url)?;
                    endpoint = redirected(&endpoint, url);
                }
                None => return Err(chain.explain(error)),
            },
        }
    }
}

/// The URLs of a chain of redirects.
struct Chain {
    /// The redirects as text.
    shown: String,
    urls: Vec<ServerUrl>,
}

impl Chain {
    fn new(url: &ServerUrl) -> Self {
        Self { shown: url.to_string(), urls: vec![url.clone()] }
    }

    /// Adds a redirect to `url`.
    ///
    /// # Errors
    /// When the chain is a circle or too long.
    fn add(&mut self, redirect: &Redirect, url: &ServerUrl) -> Result<(), String> {
        self.shown += &format!(" to {url} ({})", redirect.status.as_u16());
        if self.urls.contains(url) {
            return Err(format!("redirected in a circle, which never ends: {}", self.shown));
        }
        if self.urls.len() > MAX_REDIRECTS {
            return Err(format!("redirected more than {MAX_REDIRECTS} times: {}", self.shown));
        }
        self.urls.push(url.clone());
        Ok(())
    }

    /// The error, after the redirects that led to it.
    fn explain(&self, error: impl Into<ConnectError>) -> ConnectError {
        let error = error.into();
        if self.urls.len() > 1 { error.after(&self.to_string()) } else { error }
    }
}

impl std::fmt::Display for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "redirected from {}", self.shown)
    }
}

/// The endpoint at another URL. As with curl, another server gets neither credentials nor cookies
/// nor the `Host` header of the first one.
fn redirected(endpoint: &Endpoint, url: ServerUrl) -> Endpoint {
    let mut next = endpoint.clone();
    let is_same = |of: fn(&ServerUrl) -> (&str, u16, bool)| of(&endpoint.url) == of(&url);
    if is_same(|url| (url.host(), url.port(), url.tls_name().is_some())) {
        if next.options.request.credentials.is_none() {
            next.options.request.credentials = endpoint.url.credentials().cloned();
        }
    } else {
        next.options.request.credentials = None;
        for name in [AUTHORIZATION, COOKIE, HOST] {
            next.options.request.headers.remove(name);
        }
    }
    next.url = url;
    next
}

/// The URL that a redirect leads to.
///
/// # Errors
/// Where the server redirects to, and why that is no URL.
pub(super) fn target(base: &ServerUrl, redirect: &Redirect) -> Result<ServerUrl, String> {
    let Redirect { status, location } = redirect;
    let absolute = resolved(base, location);
    absolute.parse().map_err(|fault: String| {
        let location = shortened(&redacted(location));
        format!(
            "the server answered {status} and redirects to {location}, which is no URL for a WebSocket: {fault}"
        )
    })
}

/// A reference as an absolute URL (RFC 3986, section 5.2), with `ws` for `http` and without a
/// fragment.
fn resolved(base: &ServerUrl, reference: &str) -> String {
    let reference = reference.split('#').next().unwrap_or_default();
    let scheme = if base.tls_name().is_some() { "wss" } else { "ws" };
    if let Some((other, rest)) = reference.split_once("://")
        && other.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        let other = other.to_ascii_lowercase();
        let other = match other.as_str() {
            "http" => "ws",
            "https" => "wss",
            other => other,
        };
        return format!("{other}://{rest}");
    }
    if let Some(rest) = reference.strip_prefix("//") {
        return format!("{scheme}://{rest}");
    }
    let authority = base.host_header();
    if reference.is_empty() {
        return format!("{scheme}://{authority}{}", base.resource());
    }
    if reference.starts_with('?') {
        return format!("{scheme}://{authority}{}{reference}", base.path());
    }
    let (path, query) = reference.split_at(reference.find('?').unwrap_or(reference.len()));
    let folder = &base.path()[..=base.path().rfind('/').unwrap_or(0)];
    let path = if path.starts_with('/') { path.to_owned() } else { format!("{folder}{path}") };
    format!("{scheme}://{authority}{}{query}", without_dots(&path))
}

/// A path without the segments `.` and `..` (RFC 3986, section 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    if path.ends_with("/.") || path.ends_with("/..") {
        kept.push("");
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::StatusCode;

    fn to(base: &str, location: &str) -> Result<String, String> {
        let redirect = Redirect { status: StatusCode::FOUND, location: location.into() };
        target(&base.parse().unwrap(), &redirect).map(|url| url.to_string())
    }

    #[test]
    fn references_are_resolved_as_rfc_3986_says() {
        // The examples of section 5.4, except those with another scheme.
        for (reference, url) in [
            ("g", "ws://a/b/c/g"),
            ("./g", "ws://a/b/c/g"),
            ("g/", "ws://a/b/c/g/"),
            ("/g", "ws://a/g"),
            ("//g", "ws://g"),
            ("?y", "ws://a/b/c/d;p?y"),
            ("g?y", "ws://a/b/c/g?y"),
            ("#s", "ws://a/b/c/d;p?q"),
            ("g#s", "ws://a/b/c/g"),
            ("g?y#s", "ws://a/b/c/g?y"),
            (";x", "ws://a/b/c/;x"),
            ("", "ws://a/b/c/d;p?q"),
            (".", "ws://a/b/c/"),
            ("./", "ws://a/b/c/"),
            ("..", "ws://a/b/"),
            ("../g", "ws://a/b/g"),
            ("../..", "ws://a/"),
            ("../../../g", "ws://a/g"),
            ("/./g", "ws://a/g"),
            ("/../g", "ws://a/g"),
            ("g.", "ws://a/b/c/g."),
            ("..g", "ws://a/b/c/..g"),
            ("./../g", "ws://a/b/g"),
            ("g;x=1/../y", "ws://a/b/c/y"),
            ("g?y/./x", "ws://a/b/c/g?y/./x"),
        ] {
            assert_eq!(to("ws://a/b/c/d;p?q", reference).as_deref(), Ok(url), "{reference}");
        }
    }

    #[test]
    fn schemes_of_http_become_those_of_websocket() {
        for (base, location, url) in [
            ("ws://a:81", "https://a/x", "wss://a/x"),
            ("wss://a", "HTTP://b:80/x", "ws://b:80/x"),
            ("https://a:444/x", "/y", "wss://a:444/y"),
            ("ws://[::1]:81/x", "y?u=http://z", "ws://[::1]:81/y?u=http://z"),
            ("ws://a", "wss://user:secret@b/x", "wss://b/x"),
        ] {
            assert_eq!(to(base, location).as_deref(), Ok(url), "{location}");
        }
    }

    #[test]
    fn an_invalid_target_is_an_error() {
        for location in ["ftp://b/x", "https://", "http://user:secret@b:99999", "/ä"] {
            let error = to("ws://a", location).unwrap_err();
            let start = "the server answered 302 Found and redirects to ";
            assert!(error.starts_with(start) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn another_server_does_not_get_the_credentials_of_the_first() {
        let start = Endpoint::new("ws://user:secret@a/x".parse().unwrap());
        let mut with_headers = start.clone();
        for name in [AUTHORIZATION, COOKIE, HOST] {
            with_headers.options.request.headers.insert(name, "secret".parse().unwrap());
        }
        let is_known = |endpoint: &Endpoint, url: &str| {
            let next = redirected(endpoint, url.parse().unwrap());
            let request = next.options.request;
            (request.credentials.is_some(), request.headers.len())
        };
        assert_eq!(is_known(&with_headers, "ws://a/y"), (true, 3));
        for other in ["ws://b/x", "ws://a:81/x", "wss://a/x"] {
            assert_eq!(is_known(&with_headers, other), (false, 0), "{other}");
        }
    }
}
