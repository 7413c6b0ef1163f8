//! The client certificate, sent to a server that requests one (`--cert`, `--key`).

use std::path::{Path, PathBuf};

use tokio_rustls::rustls::Error;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

/// The allowed content of a certificate file.
const ALLOWED: &str = "allowed is a file in PEM with the certificate that the client shows, and with those of the authorities between it and the one that the server trusts";

/// The paths of a client certificate and its private key.
#[derive(Clone, Debug)]
pub struct Identity {
    certificate: PathBuf,
    key: PathBuf,
}

impl Identity {
    /// A certificate in one file; its key is in `key`, or in the same file.
    #[must_use]
    pub fn new(certificate: PathBuf, key: Option<PathBuf>) -> Self {
        let key = key.unwrap_or_else(|| certificate.clone());
        Self { certificate, key }
    }

    /// Reads the files, to report a fault at startup.
    ///
    /// # Errors
    /// Which file cannot be used, and which content is allowed.
    pub fn check(&self) -> Result<(), String> {
        self.load(&super::ring::default_provider()).map(drop)
    }

    /// Loads the current content of the files.
    pub(super) fn load(&self, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
        let certificates = self.certificates()?;
        let key = self.private_key()?;
        CertifiedKey::from_der(certificates, key, provider).map_err(|error| match error {
            Error::InconsistentKeys(_) => format!(
                "the key in {:?} (--key) does not belong to the certificate in {:?} (--cert)",
                self.key, self.certificate
            ),
            error => format!("{} cannot be used: {error}", self.named()),
        })
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let fault =
            |cause: String| format!("--cert is {:?}, but {ALLOWED}; {cause}", self.certificate);
        let text = read(&self.certificate).map_err(fault)?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        match found {
            Ok(found) if found.is_empty() => {
                Err(fault("that file has no certificate in it (BEGIN CERTIFICATE)".into()))
            }
            Ok(found) => Ok(found),
            Err(error) => Err(fault(format!("that file is damaged: {error}"))),
        }
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, String> {
        let fault = |cause: &str| {
            format!(
                "--key is {:?}, but allowed is a file in PEM with the private key of --cert; {cause}",
                self.key
            )
        };
        let text = read(&self.key).map_err(|cause| fault(&cause))?;
        PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
            let is_encrypted = text.windows(9).any(|word| word == b"ENCRYPTED");
            fault(if is_encrypted {
                "that key has a password, which this client cannot ask for: openssl pkey -in KEY -out PLAIN takes it off"
            } else {
                "that file has no private key in it (BEGIN PRIVATE KEY)"
            })
        })
    }

    fn named(&self) -> String {
        format!("the certificate in {:?} (--cert)", self.certificate)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("that file cannot be read: {error}"))
}
