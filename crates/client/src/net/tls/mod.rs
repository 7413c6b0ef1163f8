//! TLS for `wss://`: trusted authorities, client certificate, and explanation of failed handshakes.
//!
//! The client trusts the authorities of the system and those of [`authorities`] (`TLS_CA`), or any
//! certificate (`unchecked`, `--insecure`). [`identity`] is the client certificate. `cause`
//! explains each failure.

pub mod authorities;
mod cause;
pub mod identity;
mod recording;
pub(super) mod session;
mod unchecked;

use std::io;
use std::sync::{Arc, PoisonError};

use rustls_native_certs::load_native_certs;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::sign::SingleCertAndKey;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use authorities::Authorities;
use cause::{Context, explain, fault};
use identity::Identity;

use super::error::ConnectError;
use super::stream::Stream;
pub(crate) use cause::{hung_up, is_violation};
use recording::{Presented, Recording};
pub(crate) use session::Session;
use unchecked::Unchecked;

/// Which server certificates the client accepts.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Certificates issued by the system's authorities, or by these (`TLS_CA`).
    Known(Option<Authorities>),
    /// Any certificate (`--insecure`).
    Everyone,
}

impl Trust {
    /// A TLS connector for the server of this name, with the client certificate if there is one.
    /// The files are read again for each connection, as they may have changed.
    ///
    /// # Errors
    /// Why no authority could be loaded, or why the client certificate cannot be used.
    pub(crate) async fn connector(
        &self,
        name: &ServerName<'static>,
        identity: Option<&Identity>,
    ) -> Result<Connector, String> {
        let (trust, name, identity) = (self.clone(), name.clone(), identity.cloned());
        // Reading files blocks, hence the blocking thread.
        let load = spawn_blocking(move || trust.load(name, identity.as_ref()));
        load.await.map_err(|error| error.to_string())?
    }

    fn load(
        self,
        name: ServerName<'static>,
        identity: Option<&Identity>,
    ) -> Result<Connector, String> {
        let provider = Arc::new(ring::default_provider());
        let verification = provider.signature_verification_algorithms;
        let certificate = identity.map(|identity| identity.load(&provider)).transpose()?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let mut context = Context {
            name,
            tls_ca: None,
            has_system_roots: false,
            has_identity: identity.is_some(),
        };
        let presented = Presented::default();
        let config = match self {
            Self::Known(authorities) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(load_native_certs().certs);
                context.has_system_roots = !roots.is_empty();
                if let Some(authorities) = authorities {
                    roots.extend(authorities.roots()?.roots);
                    context.tls_ca = Some(authorities.path);
                }
                config.dangerous().with_custom_certificate_verifier(Arc::new(Recording {
                    roots,
                    algorithms: verification,
                    presented: presented.clone(),
                }))
            }
            Self::Everyone => config
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unchecked(verification))),
        };
        let config = match certificate {
            Some(certificate) => {
                config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certificate)))
            }
            None => config.with_no_client_auth(),
        };
        Ok(Connector { connector: TlsConnector::from(Arc::new(config)), context, presented })
    }
}

/// A TLS connector for one server.
pub(crate) struct Connector {
    connector: TlsConnector,
    context: Context,
    presented: Presented,
}

impl Connector {
    /// Does the TLS handshake over `stream`. Sets `session`, also if the handshake fails.
    ///
    /// # Errors
    /// Why the handshake failed, in one line.
    pub(crate) async fn secure(
        &self,
        stream: Stream,
        session: &mut Option<Session>,
    ) -> Result<Stream, ConnectError> {
        match self.connector.connect(self.context.name.clone(), stream).await {
            Ok(stream) => {
                *session = Some(Session::of(&stream));
                Ok(Stream::Tls(Box::new(stream)))
            }
            Err(error) => {
                let certificate = self.presented.lock().unwrap_or_else(PoisonError::into_inner);
                *session = Some(Session { version: None, certificate: certificate.clone() });
                let cause = self.explain(&error).unwrap_or_else(|| error.to_string());
                Err(ConnectError::from(cause).of(fault(&error)))
            }
        }
    }

    /// Explains an error of the TLS stream; `None` if TLS did not cause the error.
    pub(crate) fn explain(&self, error: &io::Error) -> Option<String> {
        explain(error, &self.context)
    }
}
