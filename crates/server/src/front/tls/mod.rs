//! TLS: the certificate that new connections are shown, and where it comes from.
//!
//! At the start, [`provision`] puts a certificate of a development [`authority`] into the folder, if
//! the operator has none there; [`certificate`] loads the one that is there. From then on,
//! [`watcher`] renews the certificate before it expires, and loads it when the files change.

mod advice;
mod authority;
mod certificate;
mod folder;
mod git;
mod issued;
mod legacy;
mod names;
mod provision;
mod stream;
#[cfg(test)]
mod tests;
mod watcher;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::SystemTime;
use std::{io, thread};

use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tracing::{info, warn};

use certificate::Certificate;
use folder::{AUTHORITY, Folder};
use watcher::{Current, Watcher};

pub use names::Names;
pub use stream::TlsSocket;

/// The folder of the certificate, and the names for a new one.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder of certificate and key (`TLS_DIR`).
    pub dir: PathBuf,
    /// Further names for a certificate that the server creates (`TLS_NAMES`).
    pub names: Names,
    /// The name of the host.
    pub host: String,
}

/// The certificate of a server.
#[derive(Debug)]
pub struct Tls {
    watcher: Watcher,
    config: Arc<ServerConfig>,
}

/// Asks for the certificate to be loaded again.
#[derive(Clone, Debug)]
pub struct Reload(Sender<()>);

impl Tls {
    /// Creates a certificate if the folder holds none, and loads the one that it holds.
    ///
    /// # Errors
    /// If the folder or a file in it cannot be used; the error is a clause that says why.
    pub fn open(options: Options) -> Result<Self, String> {
        let Options { dir, names, host } = options;
        let folder = Folder::open(&dir)?;
        let host = names::host_name(&host);
        let now = SystemTime::now();
        let provisioned =
            provision::ensure_certificate(&folder, &names.with_usual(), host.as_deref(), now);
        let loaded = folder.revision();
        let provider = Arc::new(ring::default_provider());
        // Without a certificate to load, the failed creation is the cause to report.
        let Certificate { key, details } = Certificate::load(&folder, &provider)
            .map_err(|cause| provisioned.clone().err().unwrap_or(cause))?;
        if let Err(cause) = provisioned {
            warn!("the certificate is not renewed: {cause}");
        }
        let is_own = provision::is_own(&folder);
        info!("certificate: {}", advice::describe(&details));
        if is_own {
            info!("clients have to trust its authority, {}", folder.path(AUTHORITY).display());
        }
        advice::warn_of_refusal(&details, now);
        advice::warn_before_end(&details, is_own, now);
        let current = Current::new(key);
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as _);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let watcher = Watcher { folder, loaded, provider, current, details };
        Ok(Self { watcher, config: Arc::new(config) })
    }

    /// Keeps the certificate up to date from now on, in a dedicated thread. Returns the
    /// configuration for connections, which always has the present certificate.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(self) -> io::Result<(Arc<ServerConfig>, Reload)> {
        let (reload, reloads) = channel();
        let watcher = self.watcher;
        thread::Builder::new().name("certificate".into()).spawn(move || watcher.run(&reloads))?;
        Ok((self.config, Reload(reload)))
    }
}

impl Reload {
    /// Has the certificate loaded at once.
    pub fn reload(&self) {
        // Sending fails once the watcher has ended, which happens only with the server.
        let _ = self.0.send(());
    }
}
