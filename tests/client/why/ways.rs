//! TLS and proxies.

use std::io::Write;
use std::thread;

use rcgen::IsCa;

use super::{assert_shown, why, why_with};
use crate::certificates::{Authority, self_signed, valid};
use crate::fake::{Fake, Port, drain};
use crate::real_server::RealServer;
use crate::secure::Secure;
use crate::way::real_proxies::start_tinyproxy;

/// Checks the diagnosis of a server whose TLS handshake fails, and what is shown of its certificate.
#[track_caller]
fn refused(server: Secure, args: &[&str], row: u64, parts: &[&str]) {
    let url = server.url.clone();
    let serving = thread::spawn(move || (0..2).for_each(|_| _ = server.try_accept()));
    let advice = if row == 31 { "--cacert" } else { "a valid certificate for the name in the URL" };
    why(&url, args).is_diagnosis(row, advice);
    assert_shown(&url, args, 1, parts);
    serving.join().unwrap();
}

#[test]
fn a_certificate_that_is_refused_is_shown() {
    let authority = Authority::new("Inspection of Example Ltd");
    let issuer = "issued by Inspection of Example Ltd, valid from ";
    let trusted = authority.file.path();
    refused(
        Secure::start(&authority.issue(&["localhost"])),
        &[],
        31,
        &["TLS          no agreement, certificate of ", issuer, "unknown authority"],
    );
    refused(
        Secure::start(&authority.issue(&["other.test"])),
        &["--cacert", &trusted],
        39,
        &[issuer, "wrong name"],
    );
    refused(
        Secure::start(&authority.sign(&valid(2020, 2021))),
        &["--cacert", &trusted],
        39,
        &["valid from 2020-01-01 to 2021-01-01", "expired"],
    );
    refused(Secure::start(&self_signed(IsCa::ExplicitNoCa)), &[], 31, &["unknown authority"]);
}

#[test]
fn a_connection_with_tls_shows_version_and_issuer() {
    let authority = Authority::new("own");
    let server = Secure::start(&authority.issue(&["localhost"]));
    let url = server.url.clone();
    let serving = thread::spawn(move || {
        for _ in 0..2 {
            server.accept().read_to_close();
        }
    });
    let parts = [
        "             TLS ",
        "TLS          TLS 1.3, certificate of ",
        "issued by own, valid from ",
    ];
    assert_shown(&url, &["--cacert", &authority.file.path(), "--max-size", "0"], 0, &parts);
    serving.join().unwrap();
}

#[test]
fn the_wrong_scheme_is_told() {
    let authority = Authority::new("own");
    let secure = Secure::start(&authority.issue(&["localhost"]));
    let url = secure.url.replace("wss://", "ws://");
    let serving = thread::spawn(move || _ = secure.accept_tls());
    why(&url, &[]).is_diagnosis(30, "the other scheme");
    serving.join().unwrap();

    let (server, url) = Fake::start();
    let serving = thread::spawn(move || {
        let mut stream = server.accept_tcp();
        // A server without TLS takes a ClientHello for a bad request.
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").unwrap();
        drain(stream);
    });
    let url = url.replace("ws://127.0.0.1", "wss://localhost");
    why(&url, &["-4"]).is_diagnosis(30, "the other scheme");
    serving.join().unwrap();
}

/// A forward proxy that gives this answer to CONNECT.
fn forward_proxy(answer: &'static str) -> String {
    let (proxy, url) = Fake::start();
    proxy.answer_each(move |stream, head| {
        assert!(head.starts_with("CONNECT "), "{head}");
        let _ = stream.write_all(answer.as_bytes());
    });
    url.replace("ws://", "http://")
}

#[test]
fn a_forward_proxy_that_refuses_is_told() {
    for (answer, row, change) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
            21,
            "in the URL of -x",
        ),
        (
            "HTTP/1.1 403 Forbidden\r\nServer: tinyproxy/1.11.1\r\nContent-Length: 0\r\n\r\n",
            28,
            "ConnectPort",
        ),
        ("HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n", 28, "443"),
        ("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", 26, "start the server"),
    ] {
        let told = why("ws://server.test:8765", &["-x", &forward_proxy(answer)]);
        told.is_diagnosis(row, change);
        assert!(told.text("text").contains("the proxy http://"), "{}", told.verdict);
    }
    let through = forward_proxy("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    let parts =
        ["proxy  ", " failed\n", "through      name and TCP are those of the proxy http://"];
    assert_shown("ws://server.test:8765", &["-x", &through], 1, &parts);
}

#[test]
fn a_failure_of_the_client_itself_gives_no_verdict() {
    let url = Port::reserve().url().replace("ws://", "wss://");
    let told = why_with(&url, &[], &[("TLS_CA", "/no/such/file.pem")]);
    assert_eq!(told.status, Some(3), "{}", told.verdict);
}

#[test]
fn the_server_of_this_project_is_understood_at_either_port() {
    let server = RealServer::start_with_tls();
    let secure = server.secure_address();
    why(&format!("ws://{secure}/echo"), &[]).is_diagnosis(30, "the other scheme");
    why(&server.url().replace("ws", "wss"), &[]).is_diagnosis(30, "the other scheme");
    why(&format!("wss://{secure}/echo"), &[]).is_diagnosis(31, "--cacert");
    let told = why(&format!("wss://{secure}/probe"), &["--cacert", &server.ca()]);
    assert_eq!((told.status, &told.verdict["changed"]), (Some(0), &serde_json::json!([])));
}

#[test]
#[ignore = "needs tinyproxy"]
fn a_port_that_tinyproxy_forbids_is_told() {
    let ((server, url), port) = (Fake::start(), Port::reserve());
    let proxy = start_tinyproxy(&port, "ConnectPort 443\n");
    let told = why(&url, &["-x", &format!("http://{}", port.address())]);
    told.is_diagnosis(28, "tinyproxy: ConnectPort");
    assert_eq!(told.verdict["status"], 403);
    drop((server, proxy));
}
