//! The fields of a certificate, and the pair of certificate and key that a server presents.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error, InconsistentKeys};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::folder::{CERTIFICATE, Folder, KEY};

/// The private keys that the cryptography provider (ring) takes.
const ALLOWED_KEYS: &str =
    "allowed is RSA of 2048 to 4096 bits, ECDSA on P-256 or P-384, or Ed25519";

/// The fields of a certificate that the server looks at.
#[derive(Clone, Debug)]
pub(super) struct Details {
    /// The names and addresses of the server.
    pub(super) names: Vec<String>,
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
    pub(super) is_authority: bool,
    pub(super) public_key: Vec<u8>,
}

/// A certificate that a server can present, with its chain and key.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) details: Details,
}

impl Details {
    /// Reads the first certificate of a text in PEM.
    ///
    /// # Errors
    /// If the text has no valid certificate; the error says why.
    pub(super) fn from_pem(text: &str) -> Result<Self, String> {
        let der = CertificateDer::from_pem_slice(text.as_bytes());
        Self::from_der(&der.map_err(|error| describe(&error))?)
    }

    fn from_der(der: &[u8]) -> Result<Self, String> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        let validity = parsed.validity();
        let [not_before, not_after] = [validity.not_before, validity.not_after]
            .map(|time| SystemTime::UNIX_EPOCH + seconds(time.timestamp()));
        Ok(Self {
            names: names(&parsed),
            not_before,
            not_after,
            is_authority: parsed.is_ca(),
            public_key: parsed.public_key().subject_public_key.data.to_vec(),
        })
    }
}

impl Certificate {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// If a file is missing or invalid; the error says which one, and why.
    pub(super) fn load(folder: &Folder, provider: &CryptoProvider) -> Result<Self, String> {
        let [certificate, key] = [CERTIFICATE, KEY]
            .map(|name| folder.read(name)?.ok_or_else(|| format!("{name} is missing")));
        let broken = |error: String| format!("{CERTIFICATE} is broken: {error}");
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate?.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| broken(describe(&error)))?;
        let first = chain.first().ok_or("cert.pem holds no certificate in PEM")?;
        let details = Details::from_der(first).map_err(broken)?;
        let key = private_key(&key?)?;
        provider
            .key_provider
            .load_private_key(key.clone_key())
            .map_err(|_| format!("{KEY} holds a key that the server cannot use: {ALLOWED_KEYS}"))?;
        let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                "key.pem is not the key of cert.pem".to_owned()
            }
            error => format!("cert.pem and key.pem cannot be used: {error}"),
        })?;
        Ok(Self { key: Arc::new(key), details })
    }
}

fn private_key(text: &str) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| match error {
        pem::Error::NoItemsFound if text.contains("BEGIN ENCRYPTED PRIVATE KEY") => {
            "key.pem is encrypted; decrypt it: openssl pkey -in key.pem -out plain.pem".into()
        }
        pem::Error::NoItemsFound => {
            "key.pem holds no private key in PEM (PKCS#8, PKCS#1 or SEC1)".into()
        }
        error => format!("key.pem is broken: {}", describe(&error)),
    })
}

/// Says what is wrong with a text in PEM.
fn describe(error: &pem::Error) -> String {
    let plain = |bytes: &[u8]| proto::escape::plain(&String::from_utf8_lossy(bytes));
    match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!("the line -----END {}----- is missing", plain(end_marker))
        }
        pem::Error::IllegalSectionStart { line } => {
            format!("this line begins no section: {}", plain(line))
        }
        error => error.to_string(),
    }
}

/// The DNS names and IP addresses in the subject alternative name.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes).map(|ip| ip.to_string()),
            _ => None,
        })
        .collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

fn seconds(since_epoch: i64) -> Duration {
    Duration::from_secs(since_epoch.max(0).unsigned_abs())
}
