//! wss://: connections, and the ones that fail.

use std::io::{Read, Write};

use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa};
use rustix::process::Signal;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::certificates::{Authority, CertificateFile, Pair, params, self_signed, valid};
use crate::client::{Client, command, json, next, run_with_input};
use crate::fake::{Fake, Peer, drain, read_head};
use crate::handshake::{assert_gives_up_after_5_s, cause, lost};
use crate::real_server::RealServer;
use crate::secure::Secure;

/// The advice about an unknown authority.
const TO_DO: &str = "give the certificate of its authority, or the server's own if that signed itself, with TLS_CA=FILE (--tls-ca)";

/// A client of a system that knows no authorities but these.
fn client(url: &str, system: &str, tls_ca: &str) -> Client {
    let settings = [("SSL_CERT_FILE", system), ("TLS_CA", tls_ca), ("TZ", "UTC")];
    Client::start(url, &settings)
}

/// Why a client that trusts `tls_ca` does not connect to a server with this certificate.
fn refused(pair: &Pair, tls_ca: &str) -> String {
    let server = Secure::start(pair);
    let client = client(&server.url, "/dev/null", tls_ca);
    assert!(server.try_accept().is_err());
    cause(&client, &server.url)
}

/// Pings a server once, over TLS.
fn pinged(server: &Secure, client: &Client) {
    server.accept().pong();
    assert_eq!(client.stdout.next_reply(), "Pong!");
    assert_eq!(client.stderr.next_event(), format!("INFO connected to {}", server.url));
}

#[test]
fn the_authorities_are_those_of_the_system_and_of_tls_ca() {
    let (own, other) = (Authority::new("own"), Authority::new("other"));
    let server = Secure::start(&own.issue(&["localhost"]));
    let (own, other) = (own.file.path(), other.file.path());
    for (system, tls_ca) in [(&own, ""), (&own, other.as_str()), (&other, own.as_str())] {
        pinged(&server, &client(&server.url, system, tls_ca));
    }
}

#[test]
fn either_version_of_tls_will_do() {
    let authority = Authority::new("own");
    for version in [&TLS12, &TLS13] {
        let server = Secure::start_with(&authority.issue(&["localhost"]), &[version], None);
        pinged(&server, &client(&server.url, "/dev/null", &authority.file.path()));
    }
}

#[test]
fn an_address_is_a_name_as_well() {
    let authority = Authority::new("own");
    let mut server = Secure::start(&authority.issue(&["127.0.0.1"]));
    server.url = server.url.replace("localhost", "127.0.0.1");
    pinged(&server, &client(&server.url, "/dev/null", &authority.file.path()));
}

#[test]
fn a_certificate_that_signed_itself_vouches_for_itself() {
    let pair = self_signed(IsCa::ExplicitNoCa);
    let file = CertificateFile::new(&pair.certificate.pem());
    let server = Secure::start(&pair);
    pinged(&server, &client(&server.url, "/dev/null", &file.path()));
}

#[test]
fn an_unknown_authority_is_told_with_what_to_do() {
    let (own, other) = (Authority::new("own"), Authority::new("other"));
    let told = "unknown authority: whoever signed the certificate of the server is";
    let file = other.file.path();
    for (system, tls_ca, known) in [
        ("/dev/null", "", "not known to this system, which knows no authority at all".into()),
        (&file, "", "not one that this system trusts".into()),
        (&file, &file, format!("neither in {file:?} (TLS_CA) nor one that this system trusts")),
        (
            "/dev/null",
            &file,
            format!("not in {file:?} (TLS_CA), and this system knows no authority at all"),
        ),
    ] {
        let server = Secure::start(&own.issue(&["localhost"]));
        let client = client(&server.url, system, tls_ca);
        assert!(server.try_accept().is_err());
        assert_eq!(cause(&client, &server.url), format!("{told} {known}; {TO_DO}"));
    }
    let alone = refused(&self_signed(IsCa::ExplicitNoCa), &file);
    assert!(alone.starts_with(told), "{alone}");
}

#[test]
fn an_older_authority_of_the_same_name_is_told() {
    let (new, old) = (Authority::new("same"), Authority::new("same"));
    let file = old.file.path();
    let server = Secure::start(&new.issue(&["localhost"]));
    let client = client(&server.url, &file, "");
    assert!(server.try_accept().is_err());
    assert_eq!(
        cause(&client, &server.url),
        format!(
            "unknown authority: whoever signed the certificate of the server has the name of one that is known here, but another key; {TO_DO}; or else a key is too short (RSA needs 2048 bits)"
        )
    );
    assert_eq!(
        refused(&new.issue(&["localhost"]), &file),
        format!(
            "unknown authority: whoever signed the certificate of the server has the name of one that is known here, but another key (is {file:?}, TLS_CA, an old one?); {TO_DO}; or else a key is too short (RSA needs 2048 bits)"
        )
    );
}

#[test]
fn a_wrong_name_is_told_with_those_that_are_right() {
    let authority = Authority::new("own");
    let many: Vec<_> = (0..12).map(|number| format!("host{number}.test")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    for (names, told) in [
        (&["server"][..], "server"),
        (
            &["server", "*.example.com", "192.0.2.7", "::1"],
            "server, *.example.com, 192.0.2.7 and ::1",
        ),
        (
            &many,
            "host0.test, host1.test, host2.test, host3.test, host4.test, host5.test, host6.test, host7.test, host8.test, host9.test and 2 more",
        ),
    ] {
        assert_eq!(
            refused(&authority.issue(names), &authority.file.path()),
            format!(
                "wrong name: the certificate of the server is not for localhost, but for {told}: use such a name in the URL, or make a certificate for localhost (TLS_NAMES of the server)"
            )
        );
    }
    assert_eq!(
        refused(&authority.issue(&[]), &authority.file.path()),
        "wrong name: the certificate of the server names no host, as a common name does not count: make a new one, with the extension subjectAltName=DNS:localhost"
    );
}

#[test]
fn a_certificate_out_of_its_time_is_told_with_both_times() {
    let authority = Authority::new("own");
    let file = authority.file.path();
    let told = refused(&authority.sign(&valid(2019, 2020)), &file);
    let (times, to_do) = told.split_once(": ").unwrap();
    let (limit, now) = times.split_once(", and the clock here says ").unwrap();
    assert_eq!(limit, "the certificate of the server expired on 01-01-2020 00:00:00");
    assert_eq!(now.len(), "01-01-2020 00:00:00".len(), "{now}");
    assert_eq!(to_do, "renew it on the server, or set the clock");

    let told = refused(&authority.sign(&valid(3000, 3001)), &file);
    let (times, to_do) = told.split_once(": ").unwrap();
    let (limit, _) = times.split_once(", and the clock here says ").unwrap();
    assert_eq!(limit, "the certificate of the server is valid from 01-01-3000 00:00:00 on");
    assert_eq!(to_do, "wait, or set the clock that is wrong");
}

#[test]
fn an_authority_in_place_of_a_certificate_is_told_with_what_to_do() {
    let told = "the certificate of the server is marked as an authority (CA:TRUE, as openssl req -x509 does), which that of a server must not be: make one with openssl req -x509 -newkey rsa:2048 -nodes -days 365 -keyout key.pem -out cert.pem -subj /CN=localhost -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE, and give it here with TLS_CA=cert.pem (--tls-ca)";
    let pair = self_signed(IsCa::Ca(BasicConstraints::Unconstrained));
    let file = CertificateFile::new(&pair.certificate.pem());
    for tls_ca in ["", &file.path()] {
        assert_eq!(refused(&pair, tls_ca), told);
    }
}

#[test]
fn a_certificate_for_something_else_is_told() {
    let authority = Authority::new("own");
    let mut params = params(&["localhost"]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::EmailProtection];
    assert_eq!(
        refused(&authority.sign(&params), &authority.file.path()),
        "the certificate of the server is not for servers: its extendedKeyUsage lacks serverAuth"
    );
}

#[test]
fn a_server_that_wants_a_certificate_of_the_client_is_told() {
    let authority = Authority::new("own");
    let clients = self_signed(IsCa::Ca(BasicConstraints::Unconstrained));
    for version in [&TLS12, &TLS13] {
        let pair = authority.issue(&["localhost"]);
        let server = Secure::start_with(&pair, &[version], Some(&clients.certificate));
        let client = client(&server.url, "/dev/null", &authority.file.path());
        assert!(server.try_accept().is_err());
        assert_eq!(
            cause(&client, &server.url),
            "the server wants a certificate of the client, and this client has none: give one with --cert FILE and --key FILE"
        );
    }
}

/// Why a client does not connect to a server that answers these bytes and ends the connection.
fn answered(scheme: &str, answer: &[u8]) -> String {
    let (server, url) = Fake::start();
    let url = url.replace("ws", scheme);
    let client = client(&url, "/dev/null", "");
    let mut stream = server.accept_tcp();
    assert!(stream.read(&mut [0; 512]).unwrap() > 0);
    stream.write_all(answer).unwrap();
    drain(stream);
    cause(&client, &url)
}

/// A TLS alert.
fn alert(description: u8) -> [u8; 7] {
    [21, 3, 3, 0, 2, 2, description]
}

#[test]
fn a_plain_server_is_told() {
    let told = "the server speaks no TLS there: use ws:// for it";
    assert_eq!(answered("wss", b"HTTP/1.1 400 Bad Request\r\n\r\n"), told);
    assert_eq!(answered("wss", b"SSH-2.0-OpenSSH\r\n"), told);
    assert_eq!(
        answered("wss", b""),
        "the server hung up during the TLS handshake: if it speaks no TLS there, use ws:// for it"
    );
}

#[test]
fn a_server_that_speaks_tls_is_told_at_ws() {
    assert_eq!(answered("ws", &alert(50)), "the server speaks TLS there: use wss:// for it");
    assert_eq!(
        answered("ws", b""),
        "the server hung up during the handshake; if it speaks TLS there, use wss:// for it"
    );
}

#[test]
fn tls_alerts_of_the_server_are_explained() {
    for (description, told) in [
        (
            40,
            "the server refused the TLS handshake (HandshakeFailure): it has no cipher or kind of key in common with this client, or wants a certificate of it (--cert)",
        ),
        (
            70,
            "the server speaks neither TLS 1.2 nor TLS 1.3, and older versions are not safe: update it, or allow these",
        ),
        (80, "the server refused the TLS handshake (InternalError)"),
        (112, "the server has no certificate for 127.0.0.1: use another of its names in the URL"),
        (
            116,
            "the server wants a certificate of the client, and this client has none: give one with --cert FILE and --key FILE",
        ),
    ] {
        assert_eq!(answered("wss", &alert(description)), told);
    }
}

#[test]
fn a_server_of_tls_1_0_is_told() {
    let mut hello = vec![22, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1];
    hello.extend([7; 32]);
    hello.extend([0, 0xc0, 0x13, 0]);
    assert_eq!(
        answered("wss", &hello),
        "the server speaks neither TLS 1.2 nor TLS 1.3, and older versions are not safe: update it, or allow these"
    );
}

#[test]
fn a_server_that_never_shakes_hands_is_given_up() {
    let (server, url) = Fake::start();
    let url = url.replace("ws", "wss");
    let client = client(&url, "/dev/null", "");
    let _silent = server.accept_tcp();
    let told = cause(&client, &url);
    assert_gives_up_after_5_s(&told, "no answer to the TLS handshake within ");
}

#[test]
fn a_connection_that_breaks_reads_as_lost() {
    let authority = Authority::new("own");
    let server = Secure::start(&authority.issue(&["localhost"]));
    let client = client(&server.url, "/dev/null", &authority.file.path());
    let mut peer = server.accept();
    peer.pong();
    peer.ping();
    drop(peer);
    assert_eq!(client.stdout.next_reply(), "Pong!");
    assert_eq!(client.stderr.next_event(), format!("INFO connected to {}", server.url));
    assert_eq!(lost(&client, &server.url), "the server left without a Close frame");
    server.accept().pong();
    assert_eq!(client.stdout.next_reply(), "Pong!");
}

#[test]
fn a_record_that_does_not_decrypt_is_an_error_of_tls_and_no_reset() {
    let authority = Authority::new("own");
    // Application data that nobody encrypted, and an alert in plain text.
    let data = [&b"\x17\x03\x03\x00\x20"[..], &[7; 32]].concat();
    for record in [&data[..], &alert(40)] {
        let server = Secure::start(&authority.issue(&["localhost"]));
        let client = json(&server.url, &["-i", "0.05", "--cacert", &authority.file.path()]);
        let stream = server.accept_tls().unwrap();
        let mut below = stream.sock.try_clone().unwrap();
        Peer::over(stream).unwrap().pong();
        below.write_all(record).unwrap();
        let mut peer = server.accept();
        peer.pong();
        let outage = next(&client, "outage");
        assert_eq!(outage["seen"], "tls", "{outage}");
        let reason = outage["reason"].as_str().unwrap();
        assert!(reason.starts_with("an error of TLS: "), "{outage}");
    }
}

#[test]
fn insecure_accepts_every_certificate_and_warns() {
    let authority = Authority::new("own");
    for pair in [
        authority.issue(&["localhost"]),
        authority.issue(&["server"]),
        authority.issue(&[]),
        authority.sign(&valid(2019, 2020)),
        authority.sign(&valid(3000, 3001)),
        self_signed(IsCa::ExplicitNoCa),
        self_signed(IsCa::Ca(BasicConstraints::Unconstrained)),
    ] {
        let server = Secure::start(&pair);
        let url = &server.url;
        let mut insecure = command(&[("SERVER_URL", url), ("SSL_CERT_FILE", "/dev/null")]);
        let client = Client::spawn(insecure.args(["--insecure", "--lag-time=0"]));
        let warning = "the certificate of the server is not checked (--insecure)";
        assert_eq!(
            client.stderr.next_event(),
            format!(
                "WARN --insecure: the certificate of {url} is not checked, so anyone on the way to it can read and change what is sent"
            )
        );
        server.accept().pong();
        assert_eq!(client.stdout.next_reply(), "Pong!");
        assert_eq!(client.stderr.next_event(), format!("WARN connected to {url}; {warning}"));
        assert!(client.stderr.next_event().starts_with("WARN lost the connection to "));
        server.accept().pong();
        let event = client.stderr.next_event();
        assert!(event.starts_with("WARN connected again after "), "{event}");
        assert!(event.ends_with(warning), "{event}");
    }
}

#[test]
fn insecure_does_not_warn_without_tls() {
    let (server, url) = Fake::start();
    let client = Client::spawn(command(&[("SERVER_URL", &url)]).arg("--insecure"));
    server.accept().pong();
    assert_eq!(client.stderr.next_event(), format!("INFO connected to {url}"));
}

#[test]
fn lines_that_are_typed_go_over_tls_as_well() {
    let server = RealServer::start_with_tls();
    let url = format!("wss://{}/echo", server.secure_address());
    let talk = |arguments: &[&str]| {
        let mut talk = command(&[("SSL_CERT_FILE", "/dev/null")]);
        talk.args(["--interactive", &url]).args(arguments);
        let output = run_with_input(&mut talk, "one\ntwo\n");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let replies = "[RE]: one\n[RE]: two\n";
    assert_eq!(talk(&["--tls-ca", &server.ca()]), (Some(0), replies.into(), String::new()));
    let (status, stdout, stderr) = talk(&["--insecure"]);
    assert_eq!((status, stdout.as_str()), (Some(0), replies));
    assert!(stderr.contains(" WARN --insecure: the certificate of wss://"), "{stderr}");
    let (status, stdout, stderr) = talk(&[]);
    assert_eq!((status, stdout.as_str()), (Some(1), ""));
    let told = format!("error: cannot connect to {url}: unknown authority: ");
    assert!(stderr.starts_with(&told) && stderr.lines().count() == 1, "{stderr}");
}

#[test]
fn the_server_of_this_project_is_understood_at_either_port() {
    let mut server = RealServer::reserve();
    let (listen, ca) = (server.secure_address(), server.ca());
    // The client is there first, and waits for the authority.
    let url = format!("wss://{listen}");
    let waiting = client(&url, "/dev/null", &ca);
    assert_eq!(
        cause(&waiting, &url),
        format!("TLS_CA is {ca:?}, and that file does not exist (yet)")
    );
    server.run_with_tls();
    assert_eq!(waiting.stdout.next_reply(), "Pong!");
    let event = waiting.stderr.next_event();
    assert!(event.starts_with(&format!("INFO connected to {url} after ")), "{event}");
    waiting.stop(Signal::TERM);

    let url = format!("ws://{listen}");
    assert_eq!(
        cause(&client(&url, "/dev/null", ""), &url),
        "the server answered 400 Bad Request: This port speaks TLS: use wss:// or https://"
    );
    let url = server.url().replace("ws", "wss");
    assert_eq!(
        cause(&client(&url, "/dev/null", &ca), &url),
        "the server speaks no TLS there: use ws:// for it"
    );
}

#[test]
fn a_request_in_tls_begins_as_one_in_plain() {
    // Path, host and port of the URL arrive, not those of the TCP connection.
    let authority = Authority::new("own");
    let server = Secure::start(&authority.issue(&["localhost"]));
    let client = client(&format!("{}/a?b", server.url), "/dev/null", &authority.file.path());
    let mut stream = server.accept_tls().unwrap();
    let head = read_head(&mut stream);
    assert!(head.starts_with("GET /a?b HTTP/1.1\r\n"), "{head}");
    let host = server.url.strip_prefix("wss://").unwrap();
    assert!(head.contains(&format!("\r\nHost: {host}\r\n")), "{head}");
    drop(client);
}
