//! Crashes, lost files, and broken files.

use std::os::unix::fs::symlink;
use std::process::Command;

use super::*;

#[test]
fn a_lost_file_comes_back_and_a_lost_key_needs_a_further_authority() {
    let dir = Dir::provisioned();
    let before = dir.files();
    for lost in [&[CERTIFICATE][..], &[AUTHORITY], &[CERTIFICATE, AUTHORITY]] {
        lost.iter().for_each(|name| dir.remove(name));
        dir.provision().unwrap();
        assert_eq!(dir.files(), before, "{lost:?}");
    }
    dir.remove(KEY);
    dir.provision().unwrap();
    assert!(dir.has_new_authority(&before));
    assert!(dir.is_accepted(&dir.read(AUTHORITY), "localhost"));
    dir.load().unwrap();
}

#[test]
fn a_crash_at_any_write_leaves_files_that_the_next_start_completes() {
    // Files are written in this order; a crash leaves the rest as it was.
    let order = [ISSUED, KEY, AUTHORITY, CERTIFICATE];
    for written in 0..order.len() {
        for (dir, lost) in
            [(Dir::new(), None), (Dir::provisioned(), None), (Dir::provisioned(), Some(KEY))]
        {
            lost.iter().for_each(|name| dir.remove(name));
            // The second start crashes at the same write.
            for _ in 0..2 {
                let old = order.map(|name| dir.folder.read(name).unwrap());
                dir.provision_for(&["localhost", "further"]).unwrap();
                for (name, old) in order.iter().zip(old).skip(written) {
                    match old {
                        Some(old) => dir.write(name, &old),
                        None => dir.remove(name),
                    }
                }
            }
            dir.provision_for(&["localhost", "further"]).unwrap();
            assert!(dir.is_accepted(&dir.read(AUTHORITY), "further"), "{written} {lost:?}");
            dir.load().unwrap();
            dir.assert_all_is_well_for(&["further"]);
        }
    }
}

#[test]
fn a_missing_file_or_one_in_the_way_is_named() {
    let theirs = Dir::provisioned();
    for (name, missing) in [(CERTIFICATE, KEY), (KEY, CERTIFICATE)] {
        let dir = Dir::new();
        dir.write(name, &theirs.read(name));
        let told = format!(
            "it holds {name} without {missing}: put {missing} there, or move {name} elsewhere"
        );
        assert_eq!(dir.provision(), Err(told));
    }
    let dir = Dir::new();
    for name in [CERTIFICATE, KEY] {
        symlink("../archive/1.pem", dir.folder.path(name)).unwrap();
    }
    assert_eq!(dir.provision(), Err("cert.pem is a link to a file that does not exist".into()));
    assert!(dir.folder.path(CERTIFICATE).is_symlink());

    let dir = Dir::provisioned();
    dir.write(ISSUED, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    assert!(dir.provision().unwrap_err().starts_with("issued.pem is broken: "));

    let dir = Dir::new();
    let _held = dir.folder.lock().unwrap();
    let error = dir.provision().unwrap_err();
    assert!(error.contains(".lock is locked by another program"), "{error}");
}

#[test]
fn a_pipe_or_a_folder_in_place_of_a_file_is_refused_and_nothing_waits_for_it() {
    for name in [CERTIFICATE, KEY, ISSUED, AUTHORITY, ".lock"] {
        let dir = Dir::new();
        assert!(Command::new("mkfifo").arg(dir.folder.path(name)).status().unwrap().success());
        let told = format!("{name} is a pipe, but allowed is a regular file");
        let error = dir.provision().unwrap_err();
        assert!(error.contains(&told), "{error}");
        dir.remove(name);
        fs::create_dir(dir.folder.path(name)).unwrap();
        let error = dir.provision().unwrap_err();
        assert!(error.contains(&told.replace("pipe", "folder")), "{error}");
    }
}

#[test]
fn an_error_says_what_is_wrong_with_which_file() {
    let dir = Dir::provisioned();
    let (certificate, key) = (dir.read(CERTIFICATE), dir.read(KEY));
    let other_key = Dir::provisioned().read(KEY);
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    for (certificate, key, told) in [
        ("", key.as_str(), "cert.pem holds no certificate"),
        (&key, &key, "cert.pem holds no certificate"),
        (&certificate, &certificate, "key.pem holds no private key"),
        (&certificate, &encrypted, "key.pem is encrypted"),
        (&certificate, &other_key, "key.pem is not the key of cert.pem"),
        (
            &certificate[..300],
            &key,
            "cert.pem is broken: the line -----END CERTIFICATE----- is missing",
        ),
        (
            &certificate,
            &key[..100],
            "key.pem is broken: the line -----END PRIVATE KEY----- is missing",
        ),
        (
            "-----BEGIN CERTIFICATE\n",
            &key,
            "cert.pem is broken: this line begins no section: -----BEGIN CERTIFICATE",
        ),
    ] {
        dir.write(CERTIFICATE, certificate);
        dir.write(KEY, key);
        let error = dir.load().unwrap_err();
        assert!(error.starts_with(told), "{told}: {error}");
    }
}
