//! TLS for `wss://`: whom the client trusts, and what a handshake that fails means.
//!
//! Trusted are the authorities of the system and those of [`authorities`] (`TLS_CA`), or everyone
//! (`unchecked`, `--insecure`). `cause` puts each failure into words.

pub mod authorities;
mod cause;
mod unchecked;

use std::io;
use std::sync::Arc;

use rustls_native_certs::load_native_certs;
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use authorities::Authorities;
use cause::{Asked, explain};

pub(crate) use cause::hung_up;
use unchecked::Unchecked;

/// Whose certificates are good enough.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Those of the system's authorities, and of these (`TLS_CA`).
    Known(Option<Authorities>),
    /// Anyone's (`--insecure`).
    Everyone,
}

impl Trust {
    /// What makes connections to a server of this name secure. The files of the authorities are
    /// read anew, as they may have changed.
    ///
    /// # Errors
    /// Why the authorities are not known.
    pub(crate) async fn connector(&self, name: &ServerName<'static>) -> Result<Connector, String> {
        let (trust, name) = (self.clone(), name.clone());
        // On a thread that may wait for the disk.
        spawn_blocking(move || trust.load(name)).await.map_err(|error| error.to_string())?
    }

    fn load(self, name: ServerName<'static>) -> Result<Connector, String> {
        let provider = Arc::new(ring::default_provider());
        let verification = provider.signature_verification_algorithms;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let mut asked = Asked { name, tls_ca: None, has_system_roots: false };
        let config = match self {
            Self::Known(authorities) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(load_native_certs().certs);
                asked.has_system_roots = !roots.is_empty();
                if let Some(authorities) = authorities {
                    roots.extend(authorities.roots()?.roots);
                    asked.tls_ca = Some(authorities.path);
                }
                config.with_root_certificates(roots)
            }
            Self::Everyone => config
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Unchecked(verification))),
        };
        let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
        Ok(Connector { connector, asked })
    }
}

/// Makes connections to one server secure.
pub(crate) struct Connector {
    connector: TlsConnector,
    asked: Asked,
}

impl Connector {
    /// Does the handshake.
    ///
    /// # Errors
    /// Why it failed, in one line.
    pub(crate) async fn secure(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        let handshake = self.connector.connect(self.asked.name.clone(), stream);
        handshake.await.map_err(|error| self.explain(&error).unwrap_or_else(|| error.to_string()))
    }

    /// What an error of the secure stream means, if that has to do with TLS.
    pub(crate) fn explain(&self, error: &io::Error) -> Option<String> {
        explain(error, &self.asked)
    }
}
