//! Servers that cannot be reached, or do not upgrade.

use std::io::Write;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::client::Client;
use crate::fake::{Fake, Port, SWITCH, accept_key, drain, pong, switching};
use crate::real_server::RealServer;

/// Why a client cannot connect, by the next event.
#[track_caller]
pub(crate) fn cause(client: &Client, url: &str) -> String {
    reason(client, &format!("WARN cannot connect to {url}: "))
}

/// Why a client lost its connection, by the next event.
#[track_caller]
pub(crate) fn lost(client: &Client, url: &str) -> String {
    reason(client, &format!("WARN lost the connection to {url}: "))
}

#[track_caller]
fn reason(client: &Client, start: &str) -> String {
    let event = client.stderr.next_event();
    let reason = event.strip_prefix(start);
    let reason = reason.and_then(|reason| reason.strip_suffix("; trying again until it works"));
    reason.unwrap_or_else(|| panic!("not {start}...: {event}")).to_owned()
}

#[test]
fn a_refused_upgrade_is_told_with_its_reason() {
    let (server, url, client) = Fake::with_client(&[]);
    server.refuse("503 Service Unavailable", "All connections are taken\nsecond line\n");
    assert_eq!(
        cause(&client, &url),
        "the server answered 503 Service Unavailable: All connections are taken"
    );
    server.refuse("404 Not Found", "");
    server.accept().pong();
    assert!(client.stderr.next_event().starts_with("INFO connected to "));
}

#[test]
fn a_server_of_another_kind_is_told() {
    let (server, url, client) = Fake::with_client(&[]);
    let mut stream = server.accept_tcp();
    // Some servers of other kinds speak first.
    stream.write_all(b"SSH-2.0-OpenSSH\r\n\r\n").unwrap();
    drain(stream);
    let cause = cause(&client, &url);
    assert_eq!(cause, "no HTTP server is there: it answered \"SSH-2.0-OpenSSH\"");
    drain(server.accept_head().0);
    server.accept().pong();
}

/// Fails unless a cause begins with this text, and has a time of 5 s, or more on a busy machine.
#[track_caller]
pub(crate) fn assert_gives_up_after_5_s(cause: &str, start: &str) {
    let seconds = cause.strip_prefix(start).and_then(|rest| rest.split(' ').next());
    let seconds: Option<f64> = seconds.and_then(|seconds| seconds.parse().ok());
    assert!(seconds.is_some_and(|seconds| (5.0..20.0).contains(&seconds)), "{cause}");
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let (server, url, client) = Fake::with_client(&[]);
    let _silent = server.accept_tcp();
    let told = cause(&client, &url);
    assert_gives_up_after_5_s(&told, "no answer to the request for the upgrade within ");
    server.accept().pong();
}

#[test]
fn a_name_that_nobody_knows_is_told() {
    let url = "ws://no-such-host.invalid:8765";
    let mut client = Client::start(url, &[]);
    let cause = cause(&client, url);
    assert!(cause.contains("lookup") || cause.contains("looked up"), "{cause}");
    client.signal(Signal::TERM);
    assert_eq!(client.wait().code(), Some(1));
}

#[test]
fn every_address_of_a_name_is_tried() {
    // A host may have an IPv6 loopback address, where nothing listens.
    let port = Port::reserve();
    let server = port.listen();
    let client = Client::start(&format!("ws://localhost:{}", port.address().port()), &[]);
    server.accept().pong();
    assert_eq!(client.stdout.next_reply(), "Pong!");
}

/// Answers a request in these pieces, in which `KEY` stands for the right `Sec-WebSocket-Accept`.
fn answer(server: &Fake, pieces: &[&str]) -> std::net::TcpStream {
    let (mut stream, head) = server.accept_head();
    let key = accept_key(&head);
    for piece in pieces {
        stream.write_all(piece.replace("KEY", &key).as_bytes()).unwrap();
    }
    stream
}

#[test]
fn every_valid_answer_is_accepted() {
    const START: &str = "HTTP/1.1 101 Switching Protocols\r\n";
    let own = [
        "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n",
        "Upgrade: WebSocket\r\nConnection: keep-alive\r\nConnection: upgrade\r\n",
        "upgrade: websocket\r\nCONNECTION:Upgrade\r\nSec-WebSocket-Extensions: \r\n",
        "Upgrade:\r\n websocket\r\nConnection: keep-alive,\r\n\tUpgrade\r\n",
        "Server: x\r\n y\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    ];
    let interim =
        ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"];
    let answers = own
        .map(|lines| format!("{START}{lines}"))
        .into_iter()
        .chain(interim.map(|interim| format!("{interim}{interim}{SWITCH}")));
    for lines in answers {
        let (server, _, client) = Fake::with_client(&[]);
        let mut stream = answer(&server, &[&lines, "Sec-WebSocket-Accept: KEY\r\n\r\n"]);
        pong(&mut stream);
        assert_eq!(client.stdout.next_reply(), "Pong!", "{lines}");
    }
}

#[test]
fn an_answer_may_come_in_any_number_of_pieces_and_with_frames_behind_it() {
    let (server, _, client) = Fake::with_client(&[]);
    let whole = format!("{SWITCH}Sec-WebSocket-Accept: ");
    let pieces: Vec<_> = whole.split_inclusive(|_| true).collect();
    assert!(pieces.len() > 66);
    let mut stream = answer(&server, &[&pieces[..], &["KEY", "\r\n\r", "\n"]].concat());
    stream.write_all(b"\x81\x05hello").unwrap();
    assert_eq!(client.stdout.next_reply(), "hello");
    pong(&mut stream);
    assert_eq!(client.stdout.next_reply(), "Pong!");

    let (server, _, client) = Fake::with_client(&[]);
    let (mut stream, head) = server.accept_head();
    let frames = b"\x81\x05hello\x81\x05wor".as_slice();
    stream.write_all(&[switching(&head, "").as_bytes(), frames].concat()).unwrap();
    assert_eq!(client.stdout.next_reply(), "hello");
    stream.write_all(b"ld").unwrap();
    assert_eq!(client.stdout.next_reply(), "world");
}

#[test]
fn an_answer_that_breaks_a_rule_is_refused() {
    let extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    for (lines, told) in [
        (
            format!("{SWITCH}{extension}Sec-WebSocket-Accept: KEY\r\n"),
            "the server uses an extension that nobody asked for: permessage-deflate",
        ),
        (
            format!("{SWITCH}Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Accept: KEY\r\n"),
            "the server chose a subprotocol that nobody offered: chat",
        ),
        (
            format!("{SWITCH}Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
            "the Sec-WebSocket-Accept of the answer does not belong to the key that was sent",
        ),
        (SWITCH.into(), "the answer has no Sec-WebSocket-Accept"),
        (
            "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: KEY\r\n".into(),
            "the answer has no Upgrade: websocket",
        ),
        (
            "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: KEY\r\n".into(),
            "the answer has no Connection: Upgrade",
        ),
    ] {
        let (server, url, client) = Fake::with_client(&[]);
        drain(answer(&server, &[&lines, "\r\n"]));
        assert_eq!(cause(&client, &url), format!("no valid WebSocket handshake: {told}"));
    }
}

#[test]
fn a_redirect_is_told_with_its_target() {
    let (server, url, client) = Fake::with_client(&[]);
    server.refuse_with("301 Moved Permanently", "Location: https://other.example/ws\r\n", "");
    assert_eq!(
        cause(&client, &url),
        "the server answered 301 Moved Permanently and redirects to https://other.example/ws: use wss://other.example/ws as the URL if that is right, or --location (-L) to follow it"
    );
}

#[test]
fn a_path_that_is_not_there_is_told_in_whole_sentences() {
    let server = RealServer::start(&[]);
    let url = server.url() + "/nowhere";
    let client = Client::start(&url, &[]);
    assert_eq!(
        cause(&client, &url),
        "the server answered 404 Not Found: There is no /nowhere here"
    );
}

#[test]
fn user_and_password_of_the_url_are_sent_and_not_shown() {
    let (server, url) = Fake::start();
    let client = Client::start(&url.replace("ws://", "ws://Aladdin:open%20sesame@"), &[]);
    let (stream, head) = server.accept_head();
    // The example of RFC 7617, section 2.
    assert!(head.contains("\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"), "{head}");
    drain(stream);
    assert!(cause(&client, &url).starts_with("the server hung up during the handshake"));
}

#[test]
fn the_time_that_a_server_asks_for_is_waited() {
    for status in ["503 Service Unavailable", "429 Too Many Requests"] {
        let (server, url, client) = Fake::with_client(&[]);
        let refused = Instant::now();
        server.refuse_with(status, "Retry-After: 1\r\n", "");
        let event = client.stderr.next_event();
        let told = format!(
            "WARN cannot connect to {url}: the server answered {status}; trying again after 1.0 s, as the server asks"
        );
        assert_eq!(event, told);
        let mut peer = server.accept();
        assert!(refused.elapsed() > Duration::from_millis(900), "{:?}", refused.elapsed());
        peer.pong();
    }
}
