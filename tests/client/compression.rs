//! `--compress`: the offer, the events about it, and compressed messages in each mode.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::DEADLINE;
use crate::client::{Client, command, run_with_input};
use crate::fake::{Fake, drain, read_frame, switching};
use crate::handshake::cause;
use crate::interop::PythonServer;
use crate::real_server::{RealServer, logged};

const OFFER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits, permessage-deflate; client_no_context_takeover; client_max_window_bits";

const COMPRESSED: &str = "INFO messages are compressed: permessage-deflate; server_no_context_takeover; client_no_context_takeover";

const PLAIN: &str = "INFO messages are not compressed: the server did not agree to it, or something between took the offer out";

/// A client that pings without a pause.
fn start(url: &str, flags: &[&str]) -> Client {
    let settings = [("CLIENT_NAME", "Client-300"), ("SERVER_URL", url), ("LAG_TIME", "0")];
    Client::spawn(command(&settings).args(flags))
}

/// A run of a mode on some input.
fn run(args: &[&str], input: &str) -> Output {
    run_with_input(command(&[("CLIENT_NAME", "Client-300")]).args(args), input)
}

/// A figure of the server's metrics.
fn metric(server: &RealServer, name: &str) -> f64 {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().parse().unwrap()
}

/// Waits for a figure, which follows the reply.
#[track_caller]
fn wait_for_metric(server: &RealServer, name: &str, is_so: impl Fn(f64) -> bool) {
    let begun = Instant::now();
    while !is_so(metric(server, name)) {
        assert!(begun.elapsed() < DEADLINE, "{name} is {}", metric(server, name));
        thread::sleep(Duration::from_millis(10));
    }
}

const RECEIVED: &str = r#"websockets_uncompressed_bytes_total{direction="received"}"#;
const SENT: &str = r#"websockets_uncompressed_bytes_total{direction="sent"}"#;

#[test]
fn pings_are_compressed_where_the_server_agrees() {
    let server = RealServer::start(&[]);
    let client = start(&server.url(), &["--compress"]);
    assert_eq!(client.stderr.next_event(), COMPRESSED);
    for _ in 0..3 {
        assert_eq!(client.stdout.next_reply(), "Pong!");
    }
    let ping = r#"{"client_name": "Client-300", "message": "Ping!"}"#.len() as f64;
    wait_for_metric(&server, RECEIVED, |bytes| bytes >= 3.0 * ping);
    assert_eq!(client.stderr.next_event(), format!("INFO connected to {}", server.url()));
    let statistics = client.stop(Signal::TERM);
    assert!(statistics[1].contains(" 0 lost (0%), "), "{statistics:?}");
}

#[test]
fn a_server_that_does_not_agree_gets_plain_messages() {
    let server = RealServer::start(&["--compression=off"]);
    let client = start(&server.url(), &["--compress"]);
    assert_eq!(client.stderr.next_event(), PLAIN);
    assert_eq!(client.stdout.next_reply(), "Pong!");
    assert_eq!(metric(&server, RECEIVED), 0.0);
    assert_eq!(client.stderr.next_event(), format!("INFO connected to {}", server.url()));
    client.stop(Signal::TERM);
}

#[test]
fn lines_are_compressed_and_so_are_their_replies() {
    let server = RealServer::start(&[]);
    let long = "a line that is long enough, ".repeat(1000);
    let url = format!("{}/mirror", server.url());
    let output = run(&["talk", &url, "--compress"], &format!("short\n{long}\n\n"));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.trim_end().ends_with(COMPRESSED), "{stderr}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("short\n{long}\n\n"));
    assert_eq!(output.status.code(), Some(0));
    let (received, sent) = (("short".len() + long.len()) as f64, long.len() as f64);
    wait_for_metric(&server, RECEIVED, |bytes| bytes == received);
    wait_for_metric(&server, SENT, |bytes| bytes == sent);
}

#[test]
fn a_load_is_compressed() {
    let server = RealServer::start(&[]);
    let args = ["bench", &server.url(), "--compress", "--connections", "20", "--duration", "0.2s"];
    let output = run(&args, "");
    let stderr = String::from_utf8(output.stderr).unwrap();
    // Logged once, not for each connection.
    assert_eq!(stderr.matches(COMPRESSED).count(), 1, "{stderr}");
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    wait_for_metric(&server, RECEIVED, |bytes| bytes > 0.0);
    assert!(logged(&server) >= 20);
}

#[test]
fn the_offer_is_made_only_where_it_is_wanted() {
    for (flags, offered) in [(&["--compress"][..], true), (&[], false)] {
        let (server, url) = Fake::start();
        let _client = start(&url, flags);
        let (_stream, head) = server.accept_head();
        let line = format!("sec-websocket-extensions: {OFFER}\r\n");
        assert_eq!(head.to_lowercase().contains(&line), offered, "{head}");
        assert_eq!(head.to_lowercase().contains("extensions"), offered, "{head}");
    }
}

/// Upgrades a client with this answer to its offer, and sends bytes right behind the answer.
fn answered(server: &Fake, extension: &str, behind: &[u8]) -> TcpStream {
    let (mut stream, head) = server.accept_head();
    let answer = switching(&head, &format!("Sec-WebSocket-Extensions: {extension}\r\n"));
    stream.write_all(&[answer.as_bytes(), behind].concat()).unwrap();
    stream
}

#[test]
fn a_server_may_keep_its_window() {
    let (server, url) = Fake::start();
    let client = start(&url, &["--compress"]);
    // The examples of RFC 7692, section 7.2.3.2: `Hello`, then a reference to it.
    let hello = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11";
    let mut stream = answered(&server, "permessage-deflate", hello);
    assert_eq!(client.stdout.next_reply(), "Hello");
    stream.write_all(b"\x00\x00").unwrap();
    assert_eq!(client.stdout.next_reply(), "Hello");
    assert_eq!(read_frame(&mut stream).0, 0xc1);
}

#[test]
fn an_answer_that_was_not_offered_is_refused() {
    for (extension, why) in [
        ("x-deflate", "the extension \"x-deflate\" was not offered"),
        (
            "permessage-deflate; server_max_window_bits=99",
            "the parameter \"server_max_window_bits=99\" of permessage-deflate is not valid",
        ),
    ] {
        let (server, url) = Fake::start();
        let client = start(&url, &["--compress"]);
        drain(answered(&server, extension, b""));
        let told = format!("no valid WebSocket handshake: its answer on compression: {why}");
        assert_eq!(cause(&client, &url), told);
    }
}

#[test]
fn a_broken_message_ends_the_connection_with_1007() {
    let (server, url) = Fake::start();
    let client = start(&url, &["--compress"]);
    let mut stream = answered(&server, "permessage-deflate", b"\xc1\x02\xff\xff");
    let lost = loop {
        let event = client.stderr.next_event();
        if event.contains("lost") {
            break event;
        }
    };
    assert!(lost.contains("the compressed message cannot be decompressed"), "{lost}");
    let close = loop {
        let (first, payload) = read_frame(&mut stream);
        if first == 0x88 {
            break payload;
        }
    };
    assert_eq!(close[..2], 1007_u16.to_be_bytes());
}

#[test]
#[ignore = "needs Python with websockets"]
fn a_python_server_agrees() {
    let server = PythonServer::start("0");
    let client = start(&server.url, &["--compress"]);
    // `websockets` chooses smaller windows, so the answer has further parameters.
    let agreed = client.stderr.next_event();
    let (told, params) = agreed.split_once("; ").unwrap();
    assert_eq!(told, "INFO messages are compressed: permessage-deflate");
    assert!(params.contains("server_no_context_takeover"), "{params}");
    assert!(params.contains("max_window_bits="), "{params}");
    assert_eq!(client.stderr.next_event(), format!("INFO connected to {}", server.url));
    assert_eq!(client.stdout.next_reply(), "Pong!");
    assert_eq!(server.said.next(), "Recieved from client (\"Client-300\"): Ping!");
    client.stop(Signal::TERM);
}
