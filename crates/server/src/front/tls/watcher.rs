//! The thread that keeps the certificate up to date; a thread, since files may be slow.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::RwLock;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tracing::{info, warn};

use super::advice;
use super::certificate::{Certificate, Details};
use super::folder::{Folder, Revision};
use super::provision;

/// Time between two polls of the files.
const POLL: Duration = Duration::from_secs(1);

/// Time between two checks whether the certificate expires. Two a day: the server's own is replaced a
/// day before its end, at the latest.
const CHECK: Duration = Duration::from_secs(12 * 3600);

/// The certificate that new connections are shown.
#[derive(Debug)]
pub(super) struct Current(RwLock<Arc<CertifiedKey>>);

/// The state of the watching thread.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) folder: Folder,
    /// The state of the files when they were loaded.
    pub(super) loaded: Revision,
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) current: Arc<Current>,
    pub(super) details: Details,
}

impl Current {
    pub(super) fn new(key: Arc<CertifiedKey>) -> Arc<Self> {
        Arc::new(Self(RwLock::new(key)))
    }

    /// Replaces the certificate. Returns whether the new one differs from the one before.
    fn set(&self, key: Arc<CertifiedKey>) -> bool {
        let mut current = self.0.write();
        let differs = current.cert != key.cert;
        *current = key;
        differs
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read()))
    }
}

impl Watcher {
    /// Runs until every [`Reload`](super::Reload) is dropped.
    pub(super) fn run(mut self, reloads: &Receiver<()>) {
        let mut last_look = self.loaded;
        let mut next_check = Instant::now() + CHECK;
        loop {
            match reloads.recv_timeout(POLL) {
                Ok(()) => self.reload(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if Instant::now() >= next_check {
                next_check += CHECK;
                self.renew();
            }
            let revision = self.folder.revision();
            if must_reload(revision, self.loaded, last_look) {
                self.reload();
            }
            last_look = revision;
        }
    }

    /// Puts the next certificate into the folder when its turn has come, unless a file is missing: the
    /// operator may be about to put another one there.
    fn renew(&self) {
        let now = SystemTime::now();
        advice::warn_before_end(&self.details, provision::is_own(&self.folder), now);
        if self.folder.revision().contains(&None) {
            return;
        }
        // No names: those were checked at the start, perhaps by another server with other names.
        if let Err(cause) = provision::ensure_certificate(&self.folder, &[], None, now) {
            warn!("the certificate is not renewed: {cause}");
        }
    }

    /// Loads the files, for new connections.
    fn reload(&mut self) {
        self.loaded = self.folder.revision();
        match Certificate::load(&self.folder, &self.provider) {
            Ok(Certificate { key, details }) => {
                if self.current.set(key) {
                    info!("new certificate: {}", advice::describe(&details));
                    let now = SystemTime::now();
                    advice::warn_of_refusal(&details, now);
                    advice::warn_before_end(&details, provision::is_own(&self.folder), now);
                } else {
                    info!("the certificate is still the same");
                }
                self.details = details;
            }
            Err(cause) => warn!("the new certificate cannot be used, the old one stays: {cause}"),
        }
    }
}

/// Whether the files changed since they were loaded, and did not change since the last poll:
/// certificate and key are replaced one after the other.
fn must_reload(now: Revision, loaded: Revision, last_look: Revision) -> bool {
    now != loaded && now == last_look
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_loaded_once_they_stopped_changing() {
        let revision = |seconds| {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            [Some((at, 1, 1)), Some((at, 1, 2))]
        };
        assert!(!must_reload(revision(1), revision(1), revision(1)));
        assert!(!must_reload(revision(2), revision(1), revision(1)));
        assert!(must_reload(revision(2), revision(1), revision(2)));
        assert!(must_reload([None, None], revision(1), [None, None]));
    }
}
