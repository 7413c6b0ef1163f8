//! What the request for the upgrade holds: headers, user, subprotocols, Origin.

use std::io::Write;
use std::net::TcpStream;

use rustix::process::Signal;

use super::{client, client_with};
use crate::client::{command, misused};
use crate::fake::{Fake, PONG, drain};
use crate::handshake::cause;

/// The request that a client sends with these arguments.
fn request(args: &[&str]) -> String {
    let (server, url) = Fake::start();
    let _client = client(&[&[url.as_str()], args].concat());
    server.accept_raw().1
}

#[test]
fn headers_are_sent_in_every_mode() {
    let header = "\r\nX-Token: a:b\r\n";
    for mode in [&[][..], &["talk"], &["bench", "--duration", "0.1"]] {
        let (server, url) = Fake::start();
        let args = [mode, &[&url, "-H", "X-Token: a:b", "--header", "X-Empty;"]].concat();
        let _client = client(&args);
        let (_, head) = server.accept_raw();
        assert!(head.contains(header) && head.contains("\r\nX-Empty: \r\n"), "{mode:?}: {head}");
    }
}

#[test]
fn a_header_may_replace_the_host_and_come_twice() {
    let head = request(&["-H", "Host: other.test", "-H", "X-Y: 1", "-H", "X-Y: 2"]);
    let hosts: Vec<_> = head.lines().filter(|line| line.starts_with("Host:")).collect();
    assert_eq!(hosts, ["Host: other.test"]);
    assert!(head.contains("\r\nX-Y: 1\r\nX-Y: 2\r\n"), "{head}");
}

#[test]
fn a_file_keeps_secrets_off_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("headers");
    std::fs::write(&path, "Authorization: Bearer secret\nCookie: a=b\n").unwrap();
    let head = request(&["-H", &format!("@{}", path.display())]);
    assert!(head.contains("\r\nAuthorization: Bearer secret\r\n"), "{head}");
    assert!(head.contains("\r\nCookie: a=b\r\n"), "{head}");
}

#[test]
fn no_header_smuggles_another_one_in_and_no_error_shows_a_value() {
    let line = "--header has a value for x-y that is not allowed: it is one line, without control characters (no CR, no LF)";
    let own = "--header cannot set upgrade: the handshake has its own";
    let colon =
        "--header has no colon in it: write NAME: VALUE, NAME; for an empty value, or @FILE";
    for (header, told) in [
        ("X-Y: secret\r\nX-Z: 1", line),
        ("X-Y: secret\nX-Z: 1", line),
        ("X-Y: secret\rX-Z: 1", line),
        ("Upgrade: secret", own),
        ("secret", colon),
    ] {
        for mode in [&[][..], &["talk"], &["bench"]] {
            let args = [mode, &["ws://127.0.0.1:1", "-H", header]].concat();
            assert_eq!(misused(&args, &[]), told, "{header:?}");
        }
    }
    let origin = misused(&["ws://127.0.0.1:1", "--origin", "http://a\r\nX: y"], &[]);
    assert!(origin.starts_with("--origin is \"http://a\\r\\nX: y\", but allowed is"), "{origin}");
}

#[test]
fn the_user_is_sent_and_never_shown() {
    let (server, url) = Fake::start();
    // --user replaces the user of the URL.
    let both = url.replace("ws://", "ws://other:other@");
    let mut client =
        client_with(&[&both, "--user", "Aladdin:open sesame"], &[("RUST_LOG", "trace")]);
    let (stream, head) = server.accept_head();
    // The example of RFC 7617, section 2.
    assert!(head.contains("\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"), "{head}");
    drain(stream);
    client.signal(Signal::TERM);
    let told = client.stderr.rest().concat() + &client.stdout.rest().concat();
    assert!(told.contains("the server hung up"), "{told}");
    assert!(!told.contains("sesame") && !told.contains("QWxhZGRpb"), "{told}");
    client.wait();

    let told = misused(&["ws://127.0.0.1:1", "-u", "secret"], &[]);
    let expected = "--user has no password in it: write USER:PASSWORD, or USER: if that is empty";
    assert_eq!(told, expected);
}

#[test]
fn the_help_does_not_show_a_password_of_the_environment() {
    let variables = [("SERVER_URL", "ws://user:secret@host")];
    for help in ["-h", "--help"] {
        let output = command(&variables).arg(help).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("SERVER_URL") && !text.contains("secret"), "{text}");
    }
}

#[test]
fn a_user_that_is_wanted_or_not_accepted_is_told() {
    for (args, told) in [
        (
            &[][..],
            "it wants a user and a password (Basic realm=\"x\"), as in ws://USER:PASSWORD@HOST or --user USER:PASSWORD",
        ),
        (
            &["-u", "user:secret"],
            "it does not accept the user and password that were sent (Basic realm=\"x\")",
        ),
    ] {
        let (server, url) = Fake::start();
        let client = client(&[&[url.as_str()], args].concat());
        server.refuse_with("401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", "");
        let told = format!("the server answered 401 Unauthorized: {told}");
        assert_eq!(cause(&client, &url), told);
    }
}

/// Agrees to the upgrade, with this header in addition.
fn agree(server: &Fake, header: &str) -> TcpStream {
    let (stream, head) = server.accept_with(header);
    let offer = "\r\nSec-WebSocket-Protocol: chat, graphql-ws\r\n";
    assert!(head.contains(offer), "{head}");
    stream
}

#[test]
fn subprotocols_are_offered_and_the_choice_is_told() {
    let offers = [
        &["--subprotocol", "chat", "--subprotocol", "graphql-ws"][..],
        &["--subprotocol", "chat,graphql-ws"],
    ];
    for (offer, header, told) in [
        (
            offers[0],
            "Sec-WebSocket-Protocol: graphql-ws\r\n",
            "INFO the server chose the subprotocol graphql-ws",
        ),
        (
            offers[1],
            "",
            "INFO the server chose none of the subprotocols that were offered (chat, graphql-ws)",
        ),
    ] {
        let (server, url) = Fake::start();
        let client = client(&[&[url.as_str()], offer].concat());
        let mut stream = agree(&server, header);
        stream.write_all(PONG).unwrap();
        assert_eq!(client.stderr.next_event(), told);
    }
    let (server, url) = Fake::start();
    let client = client(&[&[url.as_str()], offers[0]].concat());
    drain(agree(&server, "Sec-WebSocket-Protocol: mqtt\r\n"));
    assert_eq!(
        cause(&client, &url),
        "no valid WebSocket handshake: the server chose a subprotocol that nobody offered: mqtt"
    );
    let told = misused(&["ws://127.0.0.1:1", "--subprotocol", "a b"], &[]);
    assert!(told.starts_with("--subprotocol is \"a b\", but allowed is the name"), "{told}");
}

#[test]
fn the_origin_is_sent_as_given() {
    let head = request(&["--origin", "https://example.com"]);
    assert!(head.contains("\r\nOrigin: https://example.com\r\n"), "{head}");
}
