//! `issued.pem`: the development authority and all its certificates, one for each year.
//!
//! The file also tells which files belong to the server: a certificate that is not in `issued.pem`
//! was put into the folder by the operator, and is never changed.

use std::time::SystemTime;

use rcgen::KeyPair;

use super::authority::BEFORE_TURN;
use super::certificate::Details;

const END: &str = "-----END CERTIFICATE-----\n";

/// A certificate of the file.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) pem: String,
    pub(super) details: Details,
}

/// The content of the file: an authority, and its certificates in the order of their turns. Before
/// them, the file may hold the certificate and the authority that were published until this
/// authority was created.
#[derive(Debug)]
pub(super) struct Issued(Vec<Entry>);

impl Issued {
    /// Parses certificates in PEM.
    ///
    /// # Errors
    /// If the text is not certificates in PEM; the error says what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let entry = |pem: &str| Ok(Entry { pem: pem.into(), details: Details::from_pem(pem)? });
        text.split_inclusive(END).map(entry).collect::<Result<_, _>>().map(Self)
    }

    /// Whether this is the text of one of the certificates.
    pub(super) fn contains(&self, pem: &str) -> bool {
        self.0.iter().any(|entry| entry.pem == pem)
    }

    /// Whether this is the private key of one of the certificates.
    pub(super) fn has_key(&self, pem: &str) -> bool {
        self.0.iter().any(|entry| entry.is_for(pem))
    }

    /// The newest authority, and its certificate whose turn it is; the first one if the clock is
    /// behind all of them.
    pub(super) fn current(&self, now: SystemTime) -> Option<(&Entry, &Entry)> {
        let authority = self.0.iter().rposition(|entry| entry.details.is_authority)?;
        let certificates = &self.0[authority + 1..];
        let has_begun = |entry: &&Entry| entry.details.not_before + BEFORE_TURN <= now;
        let current = certificates.iter().rfind(has_begun).or_else(|| certificates.first())?;
        Some((&self.0[authority], current))
    }
}

impl Entry {
    /// Whether this is the private key of the certificate.
    pub(super) fn is_for(&self, key: &str) -> bool {
        KeyPair::from_pem(key).is_ok_and(|key| key.public_key_raw() == self.details.public_key)
    }
}
