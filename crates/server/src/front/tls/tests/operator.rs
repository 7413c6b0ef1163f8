//! Folders with files of the operator, or of version 0.1.

use data_encoding::HEXLOWER;
use rcgen::KeyPair;
use sha2::{Digest, Sha256};

use super::*;
use crate::front::tls::authority;

#[test]
fn a_file_of_the_operator_is_never_touched() {
    let theirs = Dir::new();
    theirs.provision_for(&["theirs"]).unwrap();
    for mut dir in [Dir::new(), Dir::provisioned()] {
        dir.copy_pair(&theirs);
        dir.now += DAY * 10_000;
        dir.assert_all_is_well_for(&NAMES);
        assert_eq!(dir.names(), ["theirs", "box"]);
    }
    let mut dir = Dir::provisioned();
    dir.write(AUTHORITY, "theirs");
    dir.now += DAY * 400;
    dir.provision().unwrap();
    assert!(dir.load().unwrap().not_after > dir.now + DAY * 300);
    assert!(
        dir.provision_for(&["further"]).unwrap_err().contains("did not create ca.pem: move it")
    );
    assert_eq!(dir.read(AUTHORITY), "theirs");
}

/// A folder as version 0.1 left it, with the key of the authority.
fn legacy() -> Dir {
    let dir = Dir::new();
    let names = NAMES.map(Into::into);
    let (authority, issuer) = authority::authority("box", &names, dir.now).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = authority::certificate(&names, dir.now).unwrap();
    let files = [
        ("ca-key.pem", issuer.key().serialize_pem()),
        (AUTHORITY, authority),
        (KEY, key.serialize_pem()),
        (CERTIFICATE, certificate.signed_by(&key, &issuer).unwrap().pem()),
    ];
    let mut list = String::new();
    for (name, content) in files {
        let digest = HEXLOWER.encode(&Sha256::digest(&content));
        list += &format!("{digest}  {name}\n");
        dir.write(name, &content);
    }
    dir.write("made-by-server.sha256", &list);
    dir
}

#[test]
fn a_folder_of_version_0_1_loses_only_the_key_of_its_authority() {
    let mut dir = legacy();
    let before = dir.files();
    dir.provision().unwrap();
    for name in ["ca-key.pem", "made-by-server.sha256"] {
        assert!(!dir.folder.path(name).exists(), "{name}");
    }
    for name in [CERTIFICATE, KEY, AUTHORITY] {
        assert_eq!(dir.read(name), before[name], "{name}");
    }
    dir.assert_all_is_well_for(&NAMES);
    dir.now += DAY * 394;
    dir.provision().unwrap();
    assert!(dir.has_new_authority(&before));
}

#[test]
fn an_authority_of_the_operator_in_a_folder_of_version_0_1_keeps_its_key() {
    let dir = legacy();
    dir.write("ca-key.pem", "theirs");
    dir.assert_all_is_well_for(&NAMES);

    let dir = legacy();
    dir.copy_pair(&Dir::provisioned());
    dir.provision().unwrap();
    assert!(!dir.folder.path("ca-key.pem").exists());
    dir.assert_all_is_well_for(&NAMES);
}
