//! The TLS version and certificate of a server.

use std::fmt;

use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ProtocolVersion;
use tokio_rustls::rustls::pki_types::CertificateDer;

/// TLS with a server, as far as the handshake came.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Session {
    /// The version, such as `TLS 1.3`; `None` if client and server did not agree on one.
    pub(crate) version: Option<&'static str>,
    /// The certificate of the server in DER, accepted or not.
    pub(crate) certificate: Option<CertificateDer<'static>>,
}

impl Session {
    pub(super) fn of<S>(stream: &TlsStream<S>) -> Self {
        let (_, connection) = stream.get_ref();
        let version = connection.protocol_version().and_then(|version| match version {
            ProtocolVersion::TLSv1_2 => Some("TLS 1.2"),
            ProtocolVersion::TLSv1_3 => Some("TLS 1.3"),
            _ => None,
        });
        let certificate = connection.peer_certificates().and_then(<[_]>::first).cloned();
        Self { version, certificate }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("version", &self.version).finish_non_exhaustive()
    }
}
