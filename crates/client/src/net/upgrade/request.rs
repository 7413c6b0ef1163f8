//! The upgrade request (RFC 6455, section 4.1, requirements 1 to 12).

use http_body_util::Empty;
use hyper::Uri;
use hyper::body::Bytes;
use hyper::header::{
    AUTHORIZATION, CONNECTION, HOST, HeaderMap, HeaderValue, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use proto::deflate;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;

use crate::net::credentials::Credentials;
use crate::net::error::ConnectError;
use crate::net::url::ServerUrl;

/// A request as hyper sends it.
pub(crate) type HttpRequest = hyper::Request<Empty<Bytes>>;

/// The optional parts of an upgrade request.
#[derive(Clone, Debug, Default)]
pub struct RequestOptions {
    /// Further headers (`--header`, `--origin`). They replace `Host` and `Authorization`.
    pub headers: HeaderMap,
    /// User and password, in place of those in the URL (`--user`).
    pub credentials: Option<Credentials>,
    /// The offered subprotocols, in order of preference (`--subprotocol`).
    pub subprotocols: Vec<String>,
    /// Whether compression is offered (`--compress`).
    pub compress: bool,
}

/// An upgrade request with its key.
#[derive(Debug)]
pub(super) struct Request {
    target: Uri,
    host: HeaderValue,
    key: HeaderValue,
    authorization: Option<HeaderValue>,
    subprotocols: Option<HeaderValue>,
    options: RequestOptions,
}

impl Request {
    /// A request with a new key.
    ///
    /// # Errors
    /// When the URL cannot be put into a request, which its parser rules out.
    pub(super) fn new(url: &ServerUrl, options: &RequestOptions) -> Result<Self, ConnectError> {
        let unusable = |error: &dyn std::fmt::Display| {
            ConnectError::from(format!("the URL cannot be asked for: {error}"))
        };
        let value = |text: String| HeaderValue::try_from(text).map_err(|error| unusable(&error));
        let credentials = options.credentials.as_ref().or(url.credentials());
        let subprotocols = options.subprotocols.join(", ");
        Ok(Self {
            target: url.resource().parse().map_err(|error| unusable(&error))?,
            host: value(url.host_header())?,
            key: value(generate_key())?,
            authorization: credentials.map(Credentials::to_header),
            subprotocols: match subprotocols.is_empty() {
                true => None,
                false => Some(value(subprotocols)?),
            },
            options: options.clone(),
        })
    }

    /// The value of `Sec-WebSocket-Key`.
    pub(super) fn key(&self) -> &[u8] {
        self.key.as_bytes()
    }

    /// Whether the client offers this subprotocol. The names are case-sensitive.
    pub(super) fn offers(&self, subprotocol: &str) -> bool {
        self.options.subprotocols.iter().any(|offered| offered == subprotocol)
    }

    /// Whether the client offers compression.
    pub(super) fn offers_compression(&self) -> bool {
        self.options.compress
    }

    /// Whether the request has credentials.
    pub(super) fn has_credentials(&self) -> bool {
        self.authorization.is_some() || self.options.headers.contains_key(AUTHORIZATION)
    }

    /// The request as hyper sends it.
    pub(super) fn to_http(&self) -> HttpRequest {
        let mut request = HttpRequest::new(Empty::new());
        *request.uri_mut() = self.target.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_KEY, self.key.clone());
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        if let Some(subprotocols) = &self.subprotocols {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, subprotocols.clone());
        }
        if self.options.compress {
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(deflate::OFFER));
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        // `extend` replaces the headers of the same names.
        headers.extend(self.options.headers.clone());
        request
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The request of RFC 6455, section 1.3.
    pub(in super::super) fn example() -> Request {
        offering(&[])
    }

    /// The example request with these subprotocols offered.
    pub(in super::super) fn offering(subprotocols: &[&str]) -> Request {
        let subprotocols = subprotocols.iter().map(ToString::to_string).collect();
        let options = RequestOptions { subprotocols, ..RequestOptions::default() };
        let url = "ws://server.example.com/chat".parse().unwrap();
        let mut request = Request::new(&url, &options).unwrap();
        request.key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        request
    }

    /// The example request with compression offered.
    pub(in super::super) fn compressing() -> Request {
        let mut request = example();
        request.options.compress = true;
        request
    }

    #[test]
    fn a_header_of_the_user_replaces_the_one_of_the_client() {
        let mut options = RequestOptions::default();
        for (name, value) in
            [("host", "other"), ("authorization", "Bearer x"), ("x-y", "1"), ("x-y", "2")]
        {
            options.headers.append(name, HeaderValue::from_static(value));
        }
        let request = Request::new(&"ws://user:secret@server".parse().unwrap(), &options).unwrap();
        let headers = request.to_http().headers().clone();
        let values = |name| headers.get_all(name).iter().collect::<Vec<_>>();
        assert_eq!(values("host"), ["other"]);
        assert_eq!(values("authorization"), ["Bearer x"]);
        assert_eq!(values("x-y"), ["1", "2"]);
    }
}
