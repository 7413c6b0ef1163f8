//! Servers that the tests play, most of which do not upgrade.

use std::io::Write;
use std::thread;

use rustix::process::Signal;

use super::{assert_shown, why};
use crate::client::{Client, command};
use crate::fake::{Fake, Port, SWITCH, accept_key, drain, switching};
use crate::records::checked;

/// A server that answers each request: with the first answer where the upgrade is asked for, with
/// the second where it is not. An answer is status, headers and body.
fn serve(upgrade: [&'static str; 3], plain: [&'static str; 3]) -> String {
    let (server, url) = Fake::start();
    server.answer_each(move |stream, head| {
        let wants = head.contains("Upgrade: websocket\r\n");
        let [status, headers, body] = if wants { upgrade } else { plain };
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/html\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        );
        let _ = stream.write_all(answer.as_bytes());
    });
    url
}

/// A server that gives the same answer to everything.
fn always(status: &'static str, headers: &'static str, body: &'static str) -> String {
    serve([status, headers, body], [status, headers, body])
}

#[test]
fn each_refusal_has_its_cause_and_what_to_change() {
    for (status, headers, body, row, change) in [
        (
            "426 Upgrade Required",
            "Server: nginx/1.22.1\r\n",
            "You cannot access a WebSocket server directly with a browser.",
            1,
            "proxy_set_header Upgrade",
        ),
        ("400 Bad Request", "Server: Apache\r\n", "Missing Upgrade header", 1, "upgrade=websocket"),
        ("505 HTTP Version Not Supported", "Server: nginx\r\n", "", 1, "proxy_http_version 1.1"),
        ("301 Moved Permanently", "Location: https://x/\r\n", "", 20, "-L"),
        ("401 Unauthorized", "WWW-Authenticate: Basic\r\n", "", 21, "-u USER:PASSWORD"),
        ("404 Not Found", "Server: nginx\r\n", "<hr><center>nginx</center>", 23, "path in the URL"),
        ("400 Bad Request", "", "{\"message\":\"Session ID unknown\"}", 24, "sticky sessions"),
        ("429 Too Many Requests", "", "", 25, "Retry-After"),
        ("503 Service Unavailable", "Retry-After: 7\r\n", "", 25, "Retry-After"),
        ("502 Bad Gateway", "Server: nginx\r\n", "<center>nginx", 26, "proxy_pass"),
        ("504 Gateway Timeout", "Server: awselb/2.0\r\n", "", 26, "targets"),
        ("464", "Server: awselb/2.0\r\n", "", 27, "target group"),
        ("426 Upgrade Required", "Upgrade: HTTP/2.0\r\n", "", 27, "ALPN"),
        (
            "400 Bad Request",
            "Server: nginx\r\n",
            "400 The plain HTTP request was sent to HTTPS port",
            30,
            "the other scheme",
        ),
    ] {
        let told = why(&always(status, headers, body), &[]);
        told.is_diagnosis(row, change);
        assert_eq!(told.verdict["status"], status[..3].parse::<u16>().unwrap());
    }
}

#[test]
fn an_answer_that_is_not_known_is_shown_plainly() {
    let url =
        always("418 I'm a teapot", "Server: kettle\r\nVia: 1.1 stove\r\n", "<p>short\nand stout");
    let status = "HTTP/1.1 418 I'm a teapot";
    let parts = [status, "Server: kettle", "Via: 1.1 stove", "short", "cause: not known"];
    assert_shown(&url, &[], 1, &parts);
    let told = why(&url, &[]);
    assert_eq!((told.rows(), &told.verdict["cause"]), (vec![], &serde_json::Value::Null));
    assert_eq!(told.verdict["status"], 418);
}

#[test]
fn a_request_without_the_upgrade_tells_causes_apart() {
    let nginx = "Server: nginx\r\n";
    let missing = ["404 Not Found", nginx, "{\"detail\":\"Not Found\"}"];
    let page = ["200 OK", nginx, "<title>Shop</title>"];
    // The application sees no difference: the upgrade is lost, or the path is wrong.
    assert_eq!(why(&serve(missing, missing), &[]).rows(), [23, 1]);
    assert_eq!(why(&serve(page, page), &[]).rows(), [1, 23]);
    // The application sees the upgrade, and has no such path.
    assert_eq!(why(&serve(missing, page), &[]).rows(), [23]);
    // The application sees the upgrade, and wants something else.
    let bad = ["400 Bad Request", nginx, "no room named"];
    assert_eq!(why(&serve(bad, page), &[]).rows(), [0; 0]);
    let required = ["426 Upgrade Required", "", ""];
    assert_eq!(why(&serve(required, page), &[]).rows(), [0; 0]);
    assert_eq!(why(&serve(required, required), &[]).rows(), [1]);
}

#[test]
fn an_origin_that_the_server_wants_is_found() {
    for (args, wanted, change) in [
        (&[][..], Some("http://127.0.0.1"), "--origin http://127.0.0.1"),
        (&["--origin", "http://other"], None, "leave that out"),
    ] {
        let (server, url) = Fake::start();
        server.answer_each(move |stream, head| {
            let is_right = match wanted {
                Some(origin) => head.contains(&format!("Origin: {origin}:")),
                None => !head.contains("Origin: "),
            };
            let answer = match is_right {
                true => switching(&head, ""),
                false => "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".into(),
            };
            let _ = stream.write_all(answer.as_bytes());
        });
        let told = why(&url, args);
        told.is_diagnosis(22, change);
        assert!(told.text("text").contains("with another Origin it connects"), "{}", told.verdict);
    }
    why(&always("403 Forbidden", "", ""), &[]).is_diagnosis(22, "--origin");
}

#[test]
fn an_origin_set_by_a_proxy_is_reported() {
    let body = "Pages of http://set.test may not connect here; ALLOWED_ORIGINS is http://a.test.\n";
    let set = "no rule on the way that sets Origin: http://set.test arrived, and that was not sent";
    for (args, change) in [
        (&[][..], set),
        (&["--origin", "http://a.test"], set),
        (&["--origin", "http://set.test"], "ALLOWED_ORIGINS of this project's server"),
    ] {
        why(&always("403 Forbidden", "", body), args).is_diagnosis(22, change);
    }
}

#[test]
fn an_answer_that_is_not_http_is_shown() {
    for (bytes, row, part) in [
        (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], None, "SSH-2.0-OpenSSH_9.2"),
        (b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80", Some(27), "HTTP/2"),
    ] {
        let (server, url) = Fake::start();
        thread::spawn(move || {
            loop {
                let mut stream = server.accept_tcp();
                let _ = stream.write_all(bytes);
                drain(stream);
            }
        });
        assert_shown(&url, &[], 1, &[part]);
        let told = why(&url, &[]);
        assert_eq!(told.rows(), Vec::from_iter(row));
        assert_eq!(told.verdict["status"], serde_json::Value::Null);
    }
}

#[test]
fn an_invalid_answer_of_http_1_is_told_as_one() {
    for (answer, fault) in [
        ("HTTP/1.1 000 x\r\n\r\n", "status-code"),
        ("HTTP/1.1 404 x\r\nno colon\r\n\r\n", "header"),
        ("HTTP/1.1 404 x\r\nContent-Length: x\r\n\r\n", "content-length"),
    ] {
        let (server, url) = Fake::start();
        let answering = thread::spawn(move || {
            let (mut stream, _) = server.accept_head();
            stream.write_all(answer.as_bytes()).unwrap();
            drain(stream);
        });
        let output = command(&[]).args(["why", &url]).output().unwrap();
        answering.join().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(told.contains("not valid HTTP/1: HTTP/1.1 "), "{told}");
        assert!(told.contains(fault) && told.contains("\ncause: not known"), "{told}");
        assert_eq!(output.status.code(), Some(1), "{told}");
    }
}

#[test]
fn a_server_without_an_answer_is_a_cause_of_its_own() {
    why(&Port::reserve().url(), &[]).is_diagnosis(33, "start what is to listen");
    why("ws://no-such-host.invalid", &[]).is_diagnosis(32, "--resolve");

    let (server, url) = Fake::start();
    let hung_up = thread::spawn(move || drain(server.accept_tcp()));
    why(&url, &[]).is_diagnosis(36, "wss://");
    hung_up.join().unwrap();

    let (server, url) = Fake::start();
    let hung_up = thread::spawn(move || drain(server.accept_tcp()));
    why(&url.replace("ws://", "wss://"), &[]).is_diagnosis(30, "the other scheme");
    hung_up.join().unwrap();

    let (server, url) = Fake::start();
    let silent = thread::spawn(move || server.accept_tcp());
    why(&url, &[]).is_diagnosis(35, "look at that program");
    drop(silent.join().unwrap());
}

#[test]
fn an_upgrade_that_breaks_the_rules_is_told_with_the_rule() {
    for (lines, rows) in [
        ("Sec-WebSocket-Accept: x\r\n", &[37][..]),
        ("Sec-WebSocket-Accept: x\r\nSec-WebSocket-Extensions: permessage-deflate\r\n", &[37]),
        ("Sec-WebSocket-Accept: KEY\r\nSec-WebSocket-Extensions: permessage-deflate\r\n", &[29]),
    ] {
        let (server, url) = Fake::start();
        let serving = thread::spawn(move || {
            let (mut stream, head) = server.accept_head();
            let lines = lines.replace("KEY", &accept_key(&head));
            stream.write_all(format!("{SWITCH}{lines}\r\n").as_bytes()).unwrap();
            drain(stream);
        });
        let told = why(&url, &[]);
        assert_eq!((told.status, told.rows()), (Some(1), rows.to_vec()));
        assert!(told.text("text").contains("no valid WebSocket handshake"), "{}", told.verdict);
        serving.join().unwrap();
    }
}

#[test]
fn a_redirect_that_is_followed_is_no_failure() {
    let (target, to) = Fake::start();
    let (server, url) = Fake::start();
    let first = thread::spawn(move || {
        let location = format!("Location: {to}/x\r\n");
        // Compression is asked for with a connection of its own.
        (0..2).for_each(|_| _ = server.refuse_with("302 Found", &location, ""));
    });
    let second = thread::spawn(move || {
        (0..2).for_each(|_| {
            target.accept().read_to_close();
        });
    });
    let told = why(&url, &["-L", "--max-size", "0"]);
    assert_eq!(told.status, Some(0), "{}", told.verdict);
    first.join().unwrap();
    second.join().unwrap();
}

#[test]
fn a_stop_before_the_end_has_a_verdict_too() {
    let (server, url) = Fake::start();
    let mut client = Client::spawn(command(&[]).args(["why", &url, "--json"]));
    let silent = server.accept_tcp();
    client.signal(Signal::INT);
    let objects = checked(client.stdout.rest().join("\n").as_bytes());
    assert_eq!((objects.len(), &objects[0]["ok"]), (1, &serde_json::Value::Null));
    assert_eq!(client.wait().code(), Some(3));
    drop(silent);
}
