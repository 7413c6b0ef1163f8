//! TLS: which certificate the server shows, where it comes from, and its exchange without any
//! connection noticing.

mod advice;
mod authority;
mod certificate;
mod folder;
mod keeper;
mod names;
mod stream;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};
use std::{fmt, io, thread};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tracing::{info, warn};

use certificate::Certificate;
use folder::{Folder, Stamp};
use keeper::Made;

pub use names::{Names, NoNames};
pub use stream::Secure;

/// Time between two looks at the files. What changes is read when it has not changed again by the
/// next look: certificate and key are two files, and come one after the other.
const PAUSE: Duration = Duration::from_secs(1);

/// Time between two looks at the age of the certificate.
const RENEWAL_PAUSE: Duration = Duration::from_secs(3600);

/// Time between two warnings that the certificate is running out.
const WARNING_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// Time before the end of a certificate from which on it is warned of.
const WARN_BEFORE: Duration = Duration::from_secs(14 * 24 * 3600);

/// What a server has to know for TLS.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder of certificate and key (`TLS_DIR`).
    pub dir: PathBuf,
    /// What a certificate is made for beside the usual names (`TLS_NAMES`).
    pub names: Names,
    /// The name of the host.
    pub host: String,
}

/// The certificate of a server.
pub struct Tls {
    keeper: Keeper,
    acceptor: TlsAcceptor,
}

/// Keeps a certificate up to date, in a thread of its own: files may be slow.
#[derive(Debug)]
struct Keeper {
    folder: Folder,
    /// What the files were like when they were read.
    read: Stamp,
    host: String,
    /// The names in the certificate.
    names: Vec<String>,
    provider: Arc<CryptoProvider>,
    shown: Arc<Shown>,
    /// Until when the certificate is valid.
    not_after: SystemTime,
}

/// Has the certificate read anew.
#[derive(Clone, Debug)]
pub struct Reload(Sender<()>);

/// The certificate that new connections are shown.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("keeper", &self.keeper).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the certificate, which is made before if the folder holds none.
    ///
    /// # Errors
    /// What is wrong with the folder or the files in it.
    pub fn open(options: Options) -> Result<Self, String> {
        let Options { dir, names, host } = options;
        let folder = Folder::open(&dir).map_err(|error| error.to_string())?;
        let names = names.with_usual(&host);
        let provider = Arc::new(ring::default_provider());
        let made = keeper::keep(&folder, &host, &names, &provider, SystemTime::now());
        let read = folder.stamp();
        let certificate = match keeper::load(&folder, &provider) {
            Ok(certificate) => certificate,
            Err(cause) => return Err(made.err().unwrap_or(cause)),
        };
        let made = made.unwrap_or_else(|cause| {
            warn!("the certificate is not renewed: {cause}");
            Made::Nothing
        });
        advice::tell(&folder, made, &certificate);
        warn_of(&certificate, SystemTime::now());
        let Certificate { names, not_after, .. } = certificate;
        let shown = Arc::new(Shown(RwLock::new(certificate.key)));
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as _);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Self {
            keeper: Keeper { folder, read, host, names, provider, shown, not_after },
            acceptor,
        })
    }

    /// Keeps the certificate up to date from now on. Returns what makes connections secure, and
    /// what has the certificate read at once (SIGHUP).
    ///
    /// # Errors
    /// When there can be no further thread.
    pub fn start(self) -> io::Result<(TlsAcceptor, Reload)> {
        let (reload, reloads) = channel();
        let keeper = self.keeper;
        thread::Builder::new().name("certificate".into()).spawn(move || keeper.run(&reloads))?;
        Ok((self.acceptor, Reload(reload)))
    }
}

impl Reload {
    /// Has the certificate read at once.
    pub fn reload(&self) {
        // A keeper that is gone went with the server.
        let _ = self.0.send(());
    }
}

impl Keeper {
    /// Runs as long as anyone may ask it to reload.
    fn run(mut self, reloads: &Receiver<()>) {
        let mut last = self.read;
        let mut next_renewal = Instant::now() + RENEWAL_PAUSE;
        let mut next_warning = Instant::now() + WARNING_PAUSE;
        loop {
            match reloads.recv_timeout(PAUSE) {
                Ok(()) => self.exchange(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if Instant::now() >= next_renewal {
                next_renewal += RENEWAL_PAUSE;
                self.renew();
            }
            if Instant::now() >= next_warning {
                next_warning += WARNING_PAUSE;
                warn_of_end(self.not_after, SystemTime::now());
            }
            let now = self.folder.stamp();
            if is_new(now, self.read, last) {
                self.exchange();
            }
            last = now;
        }
    }

    /// Renews the certificate if it runs out. Where files are missing, someone is about to put
    /// others there.
    fn renew(&self) {
        let Self { folder, host, names, provider, .. } = self;
        if folder.stamp().contains(&None) {
            return;
        }
        match keeper::keep(folder, host, names, provider, SystemTime::now()) {
            Ok(Made::Nothing) => {}
            Ok(_) => info!("renewed the certificate"),
            Err(cause) => warn!("the certificate is not renewed: {cause}"),
        }
    }

    /// Shows new connections what the files hold by now.
    fn exchange(&mut self) {
        self.read = self.folder.stamp();
        let certificate = match keeper::load(&self.folder, &self.provider) {
            Ok(certificate) => certificate,
            Err(cause) => {
                warn!("the new certificate cannot be used, the old one stays: {cause}");
                return;
            }
        };
        let mut shown = self.shown.0.write().unwrap_or_else(PoisonError::into_inner);
        if shown.cert == certificate.key.cert {
            info!("the certificate is still the same");
            return;
        }
        info!("new certificate: {}", advice::described(&certificate));
        warn_of(&certificate, SystemTime::now());
        self.not_after = certificate.not_after;
        self.names = certificate.names;
        *shown = certificate.key;
    }
}

/// Whether the files changed since they were read, and not since the last look.
fn is_new(now: Stamp, known: Stamp, last: Stamp) -> bool {
    now != known && now == last
}

/// Warns of what makes clients refuse a certificate.
fn warn_of(certificate: &Certificate, now: SystemTime) {
    if certificate.is_authority {
        warn!(
            "the certificate is marked as that of an authority (openssl req -x509 makes it so), which many clients refuse: issue one with basicConstraints=CA:FALSE"
        );
    }
    if certificate.names.is_empty() {
        warn!("the certificate names no host (subjectAltName), so clients refuse it");
    }
    if certificate.not_before > now {
        warn!("the certificate is not valid yet");
    }
    warn_of_end(certificate.not_after, now);
}

fn warn_of_end(not_after: SystemTime, now: SystemTime) {
    if not_after < now {
        warn!("the certificate has expired");
    } else if not_after < now + WARN_BEFORE {
        warn!("the certificate expires in less than {} days", WARN_BEFORE.as_secs() / 86_400);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_once_they_are_at_rest() {
        let stamp = |seconds| {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            [Some((at, 1, 1)), Some((at, 1, 2))]
        };
        assert!(!is_new(stamp(1), stamp(1), stamp(1)));
        assert!(!is_new(stamp(2), stamp(1), stamp(1)));
        assert!(is_new(stamp(2), stamp(1), stamp(2)));
        assert!(is_new([None, None], stamp(1), [None, None]));
    }
}
