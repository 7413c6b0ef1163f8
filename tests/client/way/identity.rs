//! `--cert` and `--key`: a server that wants a certificate of the client.

use std::fs;
use std::path::PathBuf;

use rcgen::{ExtendedKeyUsagePurpose, IsCa};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use super::{client, misused};
use crate::certificates::{Authority, Pair, params, self_signed};
use crate::client::Client;
use crate::handshake::cause;
use crate::secure::Secure;

/// A certificate of the client and its key, in files.
struct Files {
    _folder: TempDir,
    certificate: PathBuf,
    key: PathBuf,
    both: PathBuf,
}

impl Files {
    fn of(pair: &Pair) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (pair.certificate.pem(), pair.key.serialize_pem());
        let both = certificate.clone() + &key;
        let write = |name, text: String| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        Self {
            certificate: write("cert.pem", certificate),
            key: write("key.pem", key),
            both: write("both.pem", both),
            _folder: folder,
        }
    }
}

fn for_clients(authority: &Authority) -> Pair {
    let mut params = params(&["client"]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    authority.sign(&params)
}

fn connected(server: &Secure, client: &Client) {
    server.accept().pong();
    assert_eq!(client.stdout.next_reply(), "Pong!");
}

#[test]
fn a_server_that_wants_a_certificate_gets_it() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let files = Files::of(&for_clients(&clients));
    let [certificate, key, both] =
        [&files.certificate, &files.key, &files.both].map(|path| path.display().to_string());
    let file = servers.file.path();
    let files = [&["--cert", &certificate, "--key", &key][..], &["--cert", &both]];
    for (version, files) in [(&TLS12, files[0]), (&TLS13, files[0]), (&TLS13, files[1])] {
        let pair = servers.issue(&["localhost"]);
        let server = Secure::start_with_authority(&pair, &[version], &clients);
        connected(&server, &client(&[&[server.url.as_str(), "--cacert", &file], files].concat()));
    }
}

#[test]
fn a_certificate_that_the_server_does_not_accept_is_told() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let files = Files::of(&self_signed(IsCa::ExplicitNoCa));
    let both = files.both.display().to_string();
    for version in [&TLS12, &TLS13] {
        let pair = servers.issue(&["localhost"]);
        let server = Secure::start_with_authority(&pair, &[version], &clients);
        let client = client(&[&server.url, "--cacert", &servers.file.path(), "--cert", &both]);
        assert!(server.try_accept().is_err());
        let told = cause(&client, &server.url);
        assert!(
            told.starts_with("the server does not accept the certificate in --cert ("),
            "{told}"
        );
    }
}

#[test]
fn the_files_are_read_anew_at_each_connection() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let old = Files::of(&self_signed(IsCa::ExplicitNoCa));
    let new = Files::of(&for_clients(&clients));
    let server = Secure::start_with_authority(&servers.issue(&["localhost"]), &[&TLS13], &clients);
    let both = old.both.display().to_string();
    let client = client(&[&server.url, "--cacert", &servers.file.path(), "--cert", &both]);
    assert!(server.try_accept().is_err());
    fs::copy(&new.both, &old.both).unwrap();
    // A try may have begun with the old file.
    let mut peer = (0..2).find_map(|_| server.try_accept().ok()).unwrap();
    peer.pong();
    assert_eq!(client.stdout.next_reply(), "Pong!");
    client.signal(Signal::TERM);
}

#[test]
fn files_that_cannot_be_used_are_wrong_settings() {
    let files = Files::of(&self_signed(IsCa::ExplicitNoCa));
    let other = Files::of(&self_signed(IsCa::ExplicitNoCa));
    let encrypted = files.key.with_file_name("encrypted.pem");
    let text = fs::read_to_string(&files.key).unwrap();
    fs::write(&encrypted, text.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")).unwrap();
    let shown = |path: &PathBuf| path.display().to_string();
    for (cert, key, told) in [
        ("/none/such".into(), None, "that file cannot be read: No such file"),
        (shown(&files.key), None, "that file has no certificate in it (BEGIN CERTIFICATE)"),
        (shown(&files.certificate), None, "that file has no private key in it (BEGIN PRIVATE KEY)"),
        (
            shown(&files.certificate),
            Some(shown(&other.key)),
            "does not belong to the certificate in",
        ),
        (shown(&files.certificate), Some(shown(&encrypted)), "that key has a password"),
    ] {
        let mut args = vec!["wss://127.0.0.1:1", "--cert", &cert];
        args.extend(key.iter().flat_map(|key| ["--key", key]));
        let error = misused(&args, &[]);
        assert!(error.contains(told), "{error}");
    }
    let told = misused(&["wss://127.0.0.1:1", "--key", &shown(&files.key)], &[]);
    assert_eq!(told, "--key is given without --cert: give the certificate as well");
}
