//! Certificate authorities trusted in addition to the system's (`TLS_CA`).

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

/// A file of authorities. The file may be created after the client starts, for example by the
/// server on a shared volume.
#[derive(Clone, Debug)]
pub struct Authorities {
    pub(crate) path: PathBuf,
    /// The content of the file at startup.
    first: Option<RootCertStore>,
}

impl Authorities {
    /// The authorities of the file at `path`, which need not exist yet.
    ///
    /// # Errors
    /// Which content is allowed, if the file holds anything else.
    pub fn open(path: PathBuf) -> Result<Self, String> {
        let first = match read(&path) {
            Ok(roots) => Some(roots),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => None,
            Err(fault) => {
                return Err(format!(
                    "allowed is a file with the certificate of an authority, or of several, in PEM; {fault}"
                ));
            }
        };
        Ok(Self { path, first })
    }

    /// The current authorities of the file. If the file is unusable now (being rewritten, or a pipe
    /// already read), the content at startup.
    ///
    /// # Errors
    /// Why no authority could be loaded.
    pub(crate) fn roots(&self) -> Result<RootCertStore, String> {
        read(&self.path).or_else(|fault| {
            self.first.clone().ok_or_else(|| format!("TLS_CA is {:?}, and {fault}", self.path))
        })
    }
}

/// Reads a file of authorities.
///
/// # Errors
/// Why the file cannot be used. Only a missing file has the kind `NotFound`.
fn read(path: &Path) -> io::Result<RootCertStore> {
    let text = std::fs::read(path).map_err(|error| match error.kind() {
        kind @ io::ErrorKind::NotFound => io::Error::new(kind, "that file does not exist (yet)"),
        _ => io::Error::other(format!("that file cannot be read: {error}")),
    })?;
    let broken = |cause: &dyn Display| {
        io::Error::other(format!("that file has a certificate that cannot be used: {cause}"))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| broken(&error))?;
        roots.add(certificate).map_err(|error| broken(&error))?;
    }
    if roots.is_empty() {
        let cause = "that file has no certificate in it (BEGIN CERTIFICATE)";
        return Err(io::Error::other(cause));
    }
    Ok(roots)
}
