//! Reads names and dates of a certificate (RFC 5280, section 4.1).

use crate::net::upgrade::shortened;

// Tags of DER (X.690).
const INTEGER: u8 = 0x02;
const OBJECT: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;

/// Attributes of a name that are shown (2.5.4.3, 2.5.4.10 and 2.5.4.11).
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ORGANIZATION: &[u8] = &[0x55, 4, 10];
const UNIT: &[u8] = &[0x55, 4, 11];

/// Names and dates of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) subject: String,
    pub(super) issuer: String,
    /// The first and the last day of validity, `2026-01-31`.
    pub(super) valid: [String; 2],
}

/// Reads a certificate in DER; `None` if the encoding is broken.
pub(super) fn read(der: &[u8]) -> Option<Certificate> {
    let mut certificate = Der(Der(der).expect(SEQUENCE)?);
    let mut body = Der(certificate.expect(SEQUENCE)?);
    let (mut tag, _) = body.next()?;
    if tag == VERSION {
        (tag, _) = body.next()?;
    }
    if tag != INTEGER {
        return None;
    }
    let _algorithm = body.expect(SEQUENCE)?;
    let issuer = name(body.expect(SEQUENCE)?)?;
    let mut validity = Der(body.expect(SEQUENCE)?);
    let valid = [day(validity.next()?)?, day(validity.next()?)?];
    let subject = name(body.expect(SEQUENCE)?)?;
    Some(Certificate { subject, issuer, valid })
}

/// A reader of values in DER.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next value with its tag.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], mut rest) = self.0.split_first_chunk()?;
        let length = match first {
            0..=0x7f => usize::from(first),
            0x81..=0x84 => {
                let (digits, others) = rest.split_at_checked(usize::from(first & 0x7f))?;
                rest = others;
                digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit))
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, value))
    }

    fn expect(&mut self, wanted: u8) -> Option<&'a [u8]> {
        self.next().filter(|(tag, _)| *tag == wanted).map(|(_, value)| value)
    }
}

/// The parts of a name that tell most: the common name, and the organization.
fn name(sequence: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    let mut sets = Der(sequence);
    while !sets.0.is_empty() {
        let mut set = Der(sets.expect(SET)?);
        let mut attribute = Der(set.expect(SEQUENCE)?);
        let kind = attribute.expect(OBJECT)?;
        let (_, value) = attribute.next()?;
        parts.push((kind, String::from_utf8_lossy(value).into_owned()));
    }
    let shown = [COMMON_NAME, ORGANIZATION, UNIT].iter().filter_map(|wanted| {
        let part = parts.iter().find(|(kind, _)| kind == wanted)?;
        Some(shortened(&part.1))
    });
    let mut shown: Vec<_> = shown.collect();
    // The unit is shown only if common name or organization is missing.
    shown.truncate(2);
    Some(if shown.is_empty() { "(no name)".into() } else { shown.join(", ") })
}

/// A time of a certificate as `2026-01-31`.
fn day((tag, digits): (u8, &[u8])) -> Option<String> {
    let text = str::from_utf8(digits).ok().filter(|text| text.is_ascii())?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            // RFC 5280, section 4.1.2.5.1.
            let century = if year < "50" { "20" } else { "19" };
            (format!("{century}{year}"), rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.to_owned(), rest)
        }
        _ => return None,
    };
    let (month, day) = (rest.get(..2)?, rest.get(2..4)?);
    let day = format!("{year}-{month}-{day}");
    day.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-').then_some(day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair, date_time_ymd};

    fn certificate() -> Vec<u8> {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "Inspection \u{1b}[2J");
        params.distinguished_name.push(DnType::OrganizationName, "Example Ltd");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.not_before = date_time_ymd(1999, 12, 31);
        params.not_after = date_time_ymd(2050, 1, 2);
        params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().to_vec()
    }

    #[test]
    fn names_and_days_of_a_certificate() {
        let certificate = read(&certificate()).unwrap();
        assert_eq!(certificate.issuer, r"Inspection \u001b[2J, Example Ltd");
        assert_eq!(certificate.subject, "(no name)");
        assert_eq!(certificate.valid, ["1999-12-31", "2050-01-02"]);
    }

    #[test]
    fn a_damaged_certificate_is_none() {
        let whole = certificate();
        for end in 0..whole.len().min(200) {
            let _ = read(&whole[..end]);
        }
        assert_eq!(read(&whole[..100]), None);
        assert_eq!(read(b""), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>(), at in 0usize..300, with in any::<u8>()) {
            let _ = read(&bytes);
            let mut broken = certificate();
            broken[at] = with;
            let _ = read(&broken);
        }
    }
}
