//! `--cert` and `--key`: a server that wants a certificate of the client.

use std::fs;

use rcgen::{ExtendedKeyUsagePurpose, IsCa};
use rustix::process::Signal;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use super::client;
use crate::certificates::{Authority, Pair, PairFiles, params, self_signed};
use crate::client::{Client, misused};
use crate::handshake::cause;
use crate::secure::Secure;

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
    let files = PairFiles::of(&for_clients(&clients));
    let file = servers.file.path();
    let two = &["--cert", &files.certificate, "--key", &files.key][..];
    let one = &["--cert", &files.both][..];
    for (version, files) in [(&TLS12, two), (&TLS13, two), (&TLS13, one)] {
        let pair = servers.issue(&["localhost"]);
        let server = Secure::start_with_authority(&pair, &[version], &clients);
        connected(&server, &client(&[&[server.url.as_str(), "--cacert", &file], files].concat()));
    }
}

#[test]
fn a_certificate_that_the_server_does_not_accept_is_told() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let files = PairFiles::of(&self_signed(IsCa::ExplicitNoCa));
    for version in [&TLS12, &TLS13] {
        let pair = servers.issue(&["localhost"]);
        let server = Secure::start_with_authority(&pair, &[version], &clients);
        let file = servers.file.path();
        let client = client(&[&server.url, "--cacert", &file, "--cert", &files.both]);
        assert!(server.try_accept().is_err());
        let told = cause(&client, &server.url);
        let start = "the server does not accept the certificate in --cert (";
        assert!(told.starts_with(start), "{told}");
    }
}

#[test]
fn the_files_are_read_anew_at_each_connection() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let old = PairFiles::of(&self_signed(IsCa::ExplicitNoCa));
    let new = PairFiles::of(&for_clients(&clients));
    let server = Secure::start_with_authority(&servers.issue(&["localhost"]), &[&TLS13], &clients);
    let client = client(&[&server.url, "--cacert", &servers.file.path(), "--cert", &old.both]);
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
    let PairFiles { certificate, key, .. } = &PairFiles::of(&self_signed(IsCa::ExplicitNoCa));
    let other = PairFiles::of(&self_signed(IsCa::ExplicitNoCa));
    // Replaces another file of that folder.
    let encrypted = &other.both;
    let text = fs::read_to_string(key).unwrap();
    fs::write(encrypted, text.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")).unwrap();
    for (cert, key, told) in [
        ("/none/such", None, "that file cannot be read: No such file"),
        (key, None, "that file has no certificate in it (BEGIN CERTIFICATE)"),
        (certificate, None, "that file has no private key in it (BEGIN PRIVATE KEY)"),
        (certificate, Some(&other.key), "does not belong to the certificate in"),
        (certificate, Some(encrypted), "that key has a password"),
    ] {
        let mut args = vec!["wss://127.0.0.1:1", "--cert", cert];
        args.extend(key.iter().flat_map(|key| ["--key", key]));
        let error = misused(&args, &[]);
        assert!(error.contains(told), "{error}");
    }
    let told = misused(&["wss://127.0.0.1:1", "--key", key], &[]);
    assert_eq!(told, "--key is given without --cert: give the certificate as well");
}
