//! The TLS version and certificate of a server.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use tokio_rustls::rustls::crypto::WebPkiSupportedAlgorithms;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    DigitallySignedStruct, Error, ProtocolVersion, RootCertStore, SignatureScheme, crypto,
};

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

/// The last certificate that a server presented.
pub(super) type Presented = Arc<Mutex<Option<CertificateDer<'static>>>>;

/// A certificate verifier that records each certificate, accepted or not. The checks are those of
/// rustls' `WebPkiServerVerifier`, which rejects an empty list of roots at its creation; here an
/// empty list leads to the error about an unknown authority.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) roots: RootCertStore,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    pub(super) presented: Presented,
}

impl ServerCertVerifier for Recording {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let presented = end_entity.clone().into_owned();
        *self.presented.lock().unwrap_or_else(PoisonError::into_inner) = Some(presented);
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.roots,
            intermediates,
            now,
            algorithms,
        )?;
        verify_server_name(&certificate, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
