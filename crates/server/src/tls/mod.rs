//! TLS: which certificate the server shows, where it comes from, and its exchange without any
//! connection noticing.

mod authority;
mod certificate;
mod folder;
mod keeper;
mod names;
mod stream;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Local};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tracing::{info, warn};

use certificate::Certificate;
use folder::{AUTHORITY, Folder, Stamp};
use keeper::Made;

pub use names::{Names, NoNames};
pub use stream::{Metered, Secure};

/// Time between two looks at the files. What changes is read when it has not changed again by the
/// next look: certificate and key are two files, and come one after the other.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks between two at the age of the certificate: an hour.
const LOOKS_A_RENEWAL: u32 = 3600;

/// Time before the end of someone's certificate from which on each start warns of it.
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

/// The certificate of a server, kept up to date.
pub struct Tls {
    folder: Folder,
    /// What the files were like when they were first read.
    read: Stamp,
    host: String,
    names: Vec<String>,
    provider: Arc<CryptoProvider>,
    shown: Arc<Shown>,
    acceptor: TlsAcceptor,
    reload: Arc<Notify>,
}

/// The certificate that new connections are shown.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("folder", &self.folder).finish_non_exhaustive()
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
        tell(&folder, made, &certificate);
        let shown = Arc::new(Shown(RwLock::new(certificate.key)));
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as _);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let reload = Arc::default();
        Ok(Self { folder, read, host, names, provider, shown, acceptor, reload })
    }

    /// What makes a connection secure.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// Has the files read anew whenever it is notified (SIGHUP).
    #[must_use]
    pub fn reload(&self) -> Arc<Notify> {
        Arc::clone(&self.reload)
    }

    /// Keeps the certificate up to date, for ever.
    pub async fn watch(&self) {
        let mut known = self.read;
        let mut last = known;
        for look in 1_u32.. {
            if timeout(PAUSE, self.reload.notified()).await.is_ok() {
                known = self.folder.stamp();
                self.exchange();
            }
            if look.is_multiple_of(LOOKS_A_RENEWAL) {
                self.renew();
            }
            let now = self.folder.stamp();
            if is_new(now, known, last) {
                known = now;
                self.exchange();
            }
            last = now;
        }
    }

    fn renew(&self) {
        let Self { folder, host, names, provider, .. } = self;
        match keeper::keep(folder, host, names, provider, SystemTime::now()) {
            Ok(Made::Nothing) => {}
            Ok(_) => info!("renewed the certificate"),
            Err(cause) => warn!("the certificate is not renewed: {cause}"),
        }
    }

    /// Shows new connections what the files hold by now.
    fn exchange(&self) {
        match keeper::load(&self.folder, &self.provider) {
            Ok(certificate) => {
                info!("new certificate: {}", described(&certificate));
                warn_of(&certificate, SystemTime::now());
                *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = certificate.key;
            }
            Err(cause) => warn!("the new certificate cannot be used, the old one stays: {cause}"),
        }
    }
}

/// Whether the files changed since they were read, and not since the last look.
fn is_new(now: Stamp, known: Stamp, last: Stamp) -> bool {
    now != known && now == last
}

fn tell(folder: &Folder, made: Made, certificate: &Certificate) {
    info!("certificate: {}", described(certificate));
    warn_of(certificate, SystemTime::now());
    let authority = folder.path(AUTHORITY);
    let path = authority.display();
    match made {
        Made::Nothing if authority.exists() => info!("clients have to trust {path}"),
        Made::Nothing => {}
        Made::Certificate => info!("issued it under the authority {path}, which clients trust"),
        Made::Authority => {
            info!("made a development authority for it: {path}");
            for (who, how) in TRUST {
                info!("to trust it, {who}: {}", how.replace("{}", &path.to_string()));
            }
        }
    }
}

/// How the authority is trusted.
const TRUST: [(&str, &str); 9] = [
    ("the client of this project", "TLS_CA={}"),
    ("curl", "curl --cacert {}"),
    ("Python", "ssl.create_default_context(cafile=\"{}\")"),
    (
        "Debian and Ubuntu",
        "sudo cp {} /usr/local/share/ca-certificates/websockets.crt && sudo update-ca-certificates",
    ),
    ("Fedora and Arch", "sudo trust anchor {}"),
    (
        "Chrome and Chromium on Linux",
        "certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n websockets -i {}",
    ),
    (
        "macOS",
        "sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {}",
    ),
    ("Windows", "certutil -addstore -f Root {}"),
    ("Firefox", "Settings, Privacy & Security, View Certificates, Authorities, Import: {}"),
];

fn described(certificate: &Certificate) -> String {
    let until = DateTime::<Local>::from(certificate.not_after).format("%d-%m-%Y");
    let names = proto::escape::plain(&certificate.names.join(", "));
    format!("for {names}, valid until {until}")
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
    } else if certificate.not_after < now {
        warn!("the certificate has expired");
    } else if certificate.not_after < now + WARN_BEFORE {
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
