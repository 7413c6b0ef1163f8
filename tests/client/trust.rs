//! `TLS_CA`: right, wrong, late and gone files.

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use crate::certificates::Authority;
use crate::client::{Client, command, misused};
use crate::fake::Fake;
use crate::handshake::cause;
use crate::secure::Secure;

#[test]
fn a_file_of_another_kind_is_a_wrong_setting() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("own");
    let pem = fs::read_to_string(authority.file.path()).unwrap();
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let path = folder.path().join("ca.pem").display().to_string();
    let allowed = "allowed is a file with the certificate of an authority, or of several, in PEM";
    let none = "that file has no certificate in it (BEGIN CERTIFICATE)";
    let broken = "that file has a certificate that cannot be used: ";
    for (content, fault) in [
        (String::new(), none),
        (key.into(), none),
        (pem.replace(" CERTIFICATE", " NONSENSE"), none),
        (pem.replace("MII", "AII"), broken),
        (pem.replace('M', "*"), broken),
        (pem.clone() + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", broken),
        (pem[..pem.len() - 5].into(), broken),
    ] {
        fs::write(&path, content).unwrap();
        let (server, url) = Fake::start();
        let by_flag = misused(&["--tls-ca", &path], &[("SERVER_URL", &url)]);
        let by_variable = misused(&[], &[("SERVER_URL", &url), ("TLS_CA", &path)]);
        for told in [by_flag, by_variable] {
            let start = format!("TLS_CA (--tls-ca) is {path:?}, but {allowed}; {fault}");
            assert!(told.starts_with(&start), "{told}");
        }
        assert!(!server.is_called(Duration::ZERO));
    }
    let fault = "that file cannot be read: Is a directory (os error 21)";
    let told = misused(&[], &[("TLS_CA", "/")]);
    assert_eq!(told, format!("TLS_CA (--tls-ca) is \"/\", but {allowed}; {fault}"));
}

#[test]
fn a_file_is_read_anew_at_each_connection() {
    let (old, new) = (Authority::new("same"), Authority::new("same"));
    let file = old.file.path();
    let server = Secure::start(&new.issue(&["localhost"]));
    let client = Client::start(&server.url, &[("TLS_CA", &file), ("SSL_CERT_FILE", "/dev/null")]);
    assert!(server.try_accept().is_err());
    assert!(cause(&client, &server.url).contains("but another key"));
    fs::copy(new.file.path(), &file).unwrap();
    // A try may have begun with the old file.
    let mut peer = (0..2).find_map(|_| server.try_accept().ok()).unwrap();
    peer.pong();
    assert_eq!(client.stdout.next_reply(), "Pong!");
}

#[test]
fn a_file_that_cannot_be_read_twice_is_remembered() {
    let authority = Authority::new("own");
    let server = Secure::start(&authority.issue(&["localhost"]));
    let mut piped = command(&[
        ("SERVER_URL", &server.url),
        ("TLS_CA", "/dev/fd/0"),
        ("SSL_CERT_FILE", "/dev/null"),
        ("LAG_TIME", "0"),
    ]);
    piped.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let pem = fs::read(authority.file.path()).unwrap();
    child.stdin.take().unwrap().write_all(&pem).unwrap();
    let client = Client::of(child);
    for _ in 0..2 {
        server.accept().pong();
        assert_eq!(client.stdout.next_reply(), "Pong!");
    }
}
