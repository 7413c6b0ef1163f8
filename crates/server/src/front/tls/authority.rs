//! A development authority, and the certificates that it issues: what browsers take once they
//! trust the authority.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, Error, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

/// A day.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long an authority is valid.
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// How long a certificate is valid. Browsers take 398 days at most; this and the day before its
/// issue stay below.
const LIFETIME: Duration = Duration::from_secs(395 * 24 * 3600);

/// Longest name of a host in the name of its authority, in bytes: with the words around it, a
/// common name has 64 at most (RFC 5280, appendix A.1).
const MAX_HOST: usize = 28;

/// How long before the issue a certificate is valid, for clocks that are slow.
const EARLIER: Duration = DAY;

/// A certificate and its private key, both in PEM.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// Makes an authority. It is named after the host, so that one can tell it from others in a list
/// of those that are trusted.
pub(super) fn new(host: &str, now: SystemTime) -> Result<Pair, Error> {
    let mut params = params(now, AUTHORITY_LIFETIME);
    let host = &host[..host.floor_char_boundary(MAX_HOST)];
    params.distinguished_name = named(&format!("WebSocket development authority ({host})"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    Ok(Pair { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
}

/// Issues a certificate for a server with these names and addresses, which ends with the authority
/// at the latest; a certificate that replaces another one keeps its key.
pub(super) fn issue(
    authority: &Pair,
    authority_ends: SystemTime,
    names: &[String],
    key: Option<&str>,
    now: SystemTime,
) -> Result<Pair, Error> {
    let authority_key = KeyPair::from_pem(&authority.key)?;
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate, authority_key)?;
    let mut params = params(now, LIFETIME);
    params.not_after = params.not_after.min(authority_ends.into());
    params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
    params.distinguished_name = named(names.first().map_or("localhost", String::as_str));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = key.map_or_else(KeyPair::generate, KeyPair::from_pem)?;
    Ok(Pair { certificate: params.signed_by(&key, &issuer)?.pem(), key: key.serialize_pem() })
}

fn params(now: SystemTime, lifetime: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = (now - EARLIER).into();
    params.not_after = (now + lifetime).into();
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, "websockets");
    subject.push(DnType::CommonName, name);
    subject
}
