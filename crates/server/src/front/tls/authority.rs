//! A development authority.
//!
//! The authority signs, when it is created, every certificate that it will ever sign: one for each
//! year of its life. Its private key is then dropped and never reaches the disk, so nobody can
//! steal it. Name constraints (RFC 5280, section 4.2.1.10) limit the authority for all to see.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, Error, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SerialNumber,
};
use tokio_rustls::rustls::crypto::ring;

/// A day.
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

/// Every certificate is valid a day before its turn, for clients whose clocks are slow.
pub(super) const BEFORE_TURN: Duration = DAY;

/// From one certificate's turn to the next one's.
const TURN: Duration = Duration::from_secs(365 * DAY.as_secs());

/// From a certificate's turn to its end: a month longer than the turn, for servers that are off.
/// With the day before, the validity stays below the 398 days that browsers accept.
const VALID: Duration = Duration::from_secs(395 * DAY.as_secs());

/// Certificates of an authority.
const TURNS: u32 = 3;

/// Longest host name in the name of an authority, in bytes: with the words around it, a common name
/// may have 64 (RFC 5280, appendix A.1).
const MAX_HOST: usize = 28;

/// Creates an authority, and the certificates of a server with these names and this key. Returns
/// the authority and, behind it, the certificates, in PEM.
pub(super) fn create(
    host: &str,
    names: &[String],
    key: &KeyPair,
    now: SystemTime,
) -> Result<String, Error> {
    let (authority, issuer) = authority(host, names, now)?;
    (0..TURNS).map(|turn| now + TURN * turn).try_fold(authority, |pem, turn| {
        Ok(pem + &certificate(names, turn)?.signed_by(key, &issuer)?.pem())
    })
}

/// An authority for these names only, in PEM, and its issuer, which signs. The name of the host
/// tells the authority from others in a list of trusted authorities.
pub(super) fn authority(
    host: &str,
    names: &[String],
    now: SystemTime,
) -> Result<(String, Issuer<'static, KeyPair>), Error> {
    let host = &host[..host.floor_char_boundary(MAX_HOST)];
    let name = format!("WebSocket development authority ({host})");
    let mut params = params(&name, now, now + TURN * (TURNS - 1) + VALID)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: names.iter().map(|name| subtree(name)).collect(),
        excluded_subtrees: Vec::new(),
    });
    let key = KeyPair::generate()?;
    let pem = params.self_signed(&key)?.pem();
    Ok((pem, Issuer::new(params, key)))
}

/// An unsigned certificate for these names, for the turn that begins at `turn`.
pub(super) fn certificate(names: &[String], turn: SystemTime) -> Result<CertificateParams, Error> {
    let name = names.first().map_or("localhost", String::as_str);
    let mut params = params(name, turn, turn + VALID)?;
    params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// The parameters that authority and certificates have in common. The serial number is random:
/// rcgen would derive it from the key, which all certificates share, and Firefox refuses a second
/// certificate with the same issuer and number.
fn params(name: &str, turn: SystemTime, not_after: SystemTime) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::OrganizationName, "websockets");
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = (turn - BEFORE_TURN).into();
    params.not_after = not_after.into();
    let mut serial = [0; 16];
    ring::default_provider().secure_random.fill(&mut serial).map_err(|_| Error::RingUnspecified)?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

/// The name constraint that permits `name`. A DNS name permits its subdomains too, so `example.com`
/// serves for `*.example.com`.
fn subtree(name: &str) -> GeneralSubtree {
    match name.parse::<IpAddr>() {
        Ok(ip) => {
            let bits = if ip.is_ipv4() { 32 } else { 128 };
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(ip, bits))
        }
        Err(_) => GeneralSubtree::DnsName(name.trim_start_matches("*.").into()),
    }
}
