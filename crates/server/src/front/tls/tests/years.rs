//! Empty folders, and certificates as the years go by.

use std::os::unix::fs::PermissionsExt;

use rcgen::KeyPair;

use super::*;
use crate::front::tls::authority;

#[test]
fn an_empty_folder_gets_an_authority_and_a_certificate() {
    let dir = Dir::provisioned();
    let certificate = dir.load().unwrap();
    assert_eq!(certificate.names, [&NAMES[..], &["box"]].concat());
    assert!(!certificate.is_authority);
    let lifetime = certificate.not_after.duration_since(certificate.not_before).unwrap();
    assert!(lifetime < DAY * 398 && lifetime > DAY * 390, "{lifetime:?}");
    for name in ["localhost", "127.0.0.1", "::1", "a.example.com", "box"] {
        assert!(dir.is_accepted(&dir.read(AUTHORITY), name), "{name}");
    }
    dir.assert_all_is_well_for(&NAMES);
}

#[test]
fn the_only_private_key_is_that_of_the_certificate_and_for_its_owner() {
    let dir = Dir::provisioned();
    for entry in fs::read_dir(dir.folder.path("")).unwrap() {
        let path = entry.unwrap().path();
        let has_key = fs::read_to_string(&path).unwrap().contains("PRIVATE KEY");
        assert_eq!(has_key, path.ends_with(KEY), "{path:?}");
    }
    let mode = |name| fs::metadata(dir.folder.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(FILES.map(mode), [0o644, 0o600, 0o644, 0o644]);
}

#[test]
fn an_authority_is_good_for_its_names_only() {
    let dir = Dir::new();
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let permitted = names(&["localhost", "*.example.com", "192.0.2.7"]);
    let (authority, issuer) = authority::authority("box", &permitted, dir.now).unwrap();
    let key = KeyPair::generate().unwrap();
    for (name, is_accepted) in [
        ("localhost", true),
        ("a.example.com", true),
        ("192.0.2.7", true),
        ("example.org", false),
        ("192.0.2.8", false),
        ("2001:db8::1", false),
    ] {
        let certificate = authority::certificate(&names(&[name]), dir.now).unwrap();
        dir.write(CERTIFICATE, &certificate.signed_by(&key, &issuer).unwrap().pem());
        assert_eq!(dir.is_accepted(&authority, name), is_accepted, "{name}");
    }
}

#[test]
fn certificates_are_renewed_for_three_years_under_the_same_authority() {
    let mut dir = Dir::provisioned();
    let (authority, key) = (dir.read(AUTHORITY), dir.read(KEY));
    let mut seen = vec![dir.read(CERTIFICATE)];
    let start = dir.now;
    for day in (0..3 * 365).step_by(5) {
        dir.now = start + DAY * day;
        dir.provision_for(&[]).unwrap();
        assert!(dir.is_accepted(&authority, "localhost"), "day {day}");
        assert!(dir.load().unwrap().not_after > dir.now + DAY * 29, "day {day}");
        if seen.last() != Some(&dir.read(CERTIFICATE)) {
            seen.push(dir.read(CERTIFICATE));
        }
    }
    assert_eq!(seen.len(), 3);
    assert_eq!((dir.read(AUTHORITY), dir.read(KEY)), (authority, key));
    // Firefox refuses a second certificate of the same number.
    let serial = |pem: &String| {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        x509_parser::parse_x509_certificate(&der).unwrap().1.serial.clone()
    };
    assert_ne!(serial(&seen[0]), serial(&seen[1]));
}

#[test]
fn an_authority_that_expires_is_replaced_and_the_names_stay() {
    let mut dir = Dir::provisioned();
    let before = dir.files();
    let names = dir.names();
    let end = Details::from_pem(&dir.read(AUTHORITY)).unwrap().not_after;
    dir.now = end - DAY * 2;
    dir.provision().unwrap();
    assert!(!dir.has_new_authority(&before));
    assert_eq!(dir.load().unwrap().not_after, end);
    dir.now = end - DAY;
    dir.provision_for(&[]).unwrap();
    assert!(dir.has_new_authority(&before));
    assert!(names.iter().all(|name| dir.names().contains(name)));
    assert!(dir.is_accepted(&dir.read(AUTHORITY), "localhost"));
}

#[test]
fn a_further_name_needs_a_further_authority() {
    let dir = Dir::new();
    dir.provision_for(&["localhost"]).unwrap();
    let before = dir.files();
    dir.provision_for(&["localhost", "further"]).unwrap();
    assert!(dir.has_new_authority(&before));
    assert!(dir.is_accepted(&dir.read(AUTHORITY), "further"));
    dir.assert_all_is_well_for(&["localhost"]);
    // Servers that share the folder do not take it from each other.
    dir.provision_for(&["other"]).unwrap();
    assert_eq!(dir.names(), ["other", "box", "localhost", "further"]);
    dir.assert_all_is_well_for(&["further"]);
}

#[test]
fn names_that_clients_refuse_are_not_taken_over() {
    let dir = Dir::new();
    dir.provision_for(&["localhost", "example.org.", "*.com"]).unwrap();
    assert!(!dir.is_accepted(&dir.read(AUTHORITY), "localhost"));
    dir.provision_for(&["localhost", "example.com"]).unwrap();
    assert_eq!(dir.names(), ["localhost", "example.com", "box", "example.org"]);
    for name in ["localhost", "example.com", "example.org"] {
        assert!(dir.is_accepted(&dir.read(AUTHORITY), name), "{name}");
    }
}

#[test]
fn a_name_that_clients_refuse_is_dropped_although_no_other_one_is_missing() {
    let dir = Dir::new();
    dir.provision_for(&["localhost", "*.com"]).unwrap();
    dir.provision_for(&["localhost"]).unwrap();
    assert_eq!(dir.names(), ["localhost", "box"]);
    assert!(dir.is_accepted(&dir.read(AUTHORITY), "localhost"));
    dir.assert_all_is_well_for(&["localhost"]);
}

#[test]
fn another_host_name_needs_no_further_authority() {
    let dir = Dir::provisioned();
    let before = dir.files();
    provision::ensure_certificate(&dir.folder, &NAMES.map(Into::into), Some("another"), dir.now)
        .unwrap();
    assert_eq!(dir.files(), before);
}

#[test]
fn names_beyond_what_a_certificate_holds_need_no_further_authority_at_each_start() {
    let dir = Dir::new();
    let names: Vec<_> = (0..150).map(|number| format!("host{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    dir.provision_for(&names).unwrap();
    assert_eq!(dir.names(), names[..100]);
    dir.assert_all_is_well_for(&names);
}
