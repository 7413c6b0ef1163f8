//! What is in a certificate file and its key file.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error, InconsistentKeys};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A certificate that a server can show.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    /// The chain with its key.
    pub(super) key: Arc<CertifiedKey>,
    /// The names and addresses that it is for.
    pub(super) names: Vec<String>,
    /// From when on it is valid.
    pub(super) not_before: SystemTime,
    /// Until when it is valid.
    pub(super) not_after: SystemTime,
    /// Whether it is marked as that of an authority.
    pub(super) is_authority: bool,
}

impl Certificate {
    /// Reads both files.
    ///
    /// # Errors
    /// What is wrong with them, in terms of `cert.pem` and `key.pem`.
    pub(super) fn load(
        certificate: &[u8],
        key: &[u8],
        provider: &CryptoProvider,
    ) -> Result<Self, String> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("cert.pem is broken: {error}"))?;
        let first = chain.first().ok_or("cert.pem holds no certificate in PEM")?;
        let (_, parsed) = X509Certificate::from_der(first)
            .map_err(|error| format!("cert.pem is broken: {error}"))?;
        let (names, is_authority) = (names(&parsed), parsed.is_ca());
        let [not_before, not_after] = [parsed.validity().not_before, parsed.validity().not_after]
            .map(|time| after_epoch(time.timestamp()));
        let key = private_key(key)?;
        let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                "key.pem is not the key of cert.pem".to_owned()
            }
            error => format!("cert.pem and key.pem cannot be used: {error}"),
        })?;
        Ok(Self { key: Arc::new(key), names, not_before, not_after, is_authority })
    }
}

/// Until when the first certificate of a file is valid; `None` if there is none.
pub(super) fn not_after(certificate: &[u8]) -> Option<SystemTime> {
    let first = CertificateDer::from_pem_slice(certificate).ok()?;
    let (_, parsed) = X509Certificate::from_der(&first).ok()?;
    Some(after_epoch(parsed.validity().not_after.timestamp()))
}

fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        pem::Error::NoItemsFound if is_encrypted(text) => {
            "key.pem is encrypted; decrypt it: openssl pkey -in key.pem -out plain.pem".into()
        }
        pem::Error::NoItemsFound => {
            "key.pem holds no private key in PEM (PKCS#8, PKCS#1 or SEC1)".into()
        }
        error => format!("key.pem is broken: {error}"),
    })
}

fn is_encrypted(text: &[u8]) -> bool {
    const MARK: &[u8] = b"BEGIN ENCRYPTED PRIVATE KEY";
    text.windows(MARK.len()).any(|window| window == MARK)
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        })
        .collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(Into::into)).ok().map(|ip| ip.to_string())
}

fn after_epoch(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.max(0).unsigned_abs())
}
