//! The authorities that are trusted beside those of the system (`TLS_CA`).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

/// A file of authorities. It may appear later than the client does: on a volume, say, that the
/// server writes it to.
#[derive(Clone, Debug)]
pub struct Authorities {
    pub(crate) path: PathBuf,
    /// What was in the file at the start.
    first: Option<RootCertStore>,
}

impl Authorities {
    /// The authorities of the file at `path`, which need not exist yet.
    ///
    /// # Errors
    /// What is allowed, if there is anything else.
    pub fn open(path: PathBuf) -> Result<Self, String> {
        let first = match read(&path) {
            Ok(roots) => Some(roots),
            Err(Fault::Missing) => None,
            Err(fault) => {
                return Err(format!(
                    "allowed is a file with the certificate of an authority, or of several, in PEM; {fault}"
                ));
            }
        };
        Ok(Self { path, first })
    }

    /// What is in the file now. Where that is of no use, because it is just being written or was
    /// a pipe, it is what was there at the start.
    ///
    /// # Errors
    /// Why no authority is known.
    pub(crate) fn roots(&self) -> Result<RootCertStore, String> {
        read(&self.path).or_else(|fault| {
            self.first.clone().ok_or_else(|| format!("TLS_CA is {:?}, and {fault}", self.path))
        })
    }
}

/// Why a file is of no use.
#[derive(Debug)]
enum Fault {
    Missing,
    Unreadable(io::Error),
    Broken(String),
    Empty,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "that file does not exist (yet)"),
            Self::Unreadable(error) => write!(f, "that file cannot be read: {error}"),
            Self::Broken(cause) => {
                write!(f, "that file has a certificate that cannot be used: {cause}")
            }
            Self::Empty => write!(f, "that file has no certificate in it (BEGIN CERTIFICATE)"),
        }
    }
}

fn read(path: &Path) -> Result<RootCertStore, Fault> {
    let text = std::fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Fault::Missing,
        _ => Fault::Unreadable(error),
    })?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| Fault::Broken(error.to_string()))?;
        roots.add(certificate).map_err(|error| Fault::Broken(error.to_string()))?;
    }
    if roots.is_empty() { Err(Fault::Empty) } else { Ok(roots) }
}
