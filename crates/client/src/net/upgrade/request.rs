//! What a client asks for (RFC 6455, section 4.1, requirements 1 to 12 of the request).

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{
    AUTHORIZATION, CONNECTION, HOST, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Request as HttpRequest, Uri};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;

use crate::net::error::ConnectError;
use crate::net::url::ServerUrl;

/// A request for an upgrade, with a key of its own.
#[derive(Debug)]
pub(super) struct Request {
    target: Uri,
    host: HeaderValue,
    key: HeaderValue,
    authorization: Option<HeaderValue>,
}

impl Request {
    /// # Errors
    /// When the URL cannot be put into a request, which its parser rules out.
    pub(super) fn new(url: &ServerUrl) -> Result<Self, ConnectError> {
        let unusable = |error: &dyn std::fmt::Display| {
            ConnectError::from(format!("the URL cannot be asked for: {error}"))
        };
        let value = |text: String| HeaderValue::try_from(text).map_err(|error| unusable(&error));
        Ok(Self {
            target: url.resource().parse().map_err(|error| unusable(&error))?,
            host: value(url.host_header())?,
            key: value(generate_key())?,
            authorization: match url.credentials() {
                Some(credentials) => {
                    let mut authorization = value(credentials.authorization())?;
                    authorization.set_sensitive(true);
                    Some(authorization)
                }
                None => None,
            },
        })
    }

    /// The nonce of this handshake.
    pub(super) fn key(&self) -> &[u8] {
        self.key.as_bytes()
    }

    /// The request as hyper sends it.
    pub(super) fn to_http(&self) -> HttpRequest<Empty<Bytes>> {
        let mut request = HttpRequest::new(Empty::new());
        *request.uri_mut() = self.target.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_KEY, self.key.clone());
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        request
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The request of RFC 6455, section 1.3.
    pub(in super::super) fn example() -> Request {
        let mut request = Request::new(&"ws://server.example.com/chat".parse().unwrap()).unwrap();
        request.key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        request
    }
}
