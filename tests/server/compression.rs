//! permessage-deflate (RFC 7692) on the wire. The tests compress and decompress with another
//! implementation than the server.

use miniz_oxide::deflate::core::{CompressorOxide, create_comp_flags_from_zip_params};
use miniz_oxide::deflate::stream::deflate;
use miniz_oxide::inflate::decompress_to_vec;
use miniz_oxide::{DataFormat, MZFlush};

use crate::python::python;
use crate::support::{
    Frame, RawClient, Response, TestServer, close, first, frame, upgrade_at, wait_until,
};

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/server/compression.py");

/// The offer of browsers.
const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

const ACCEPTED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// The bit RSV1.
const RSV1: u8 = 0x40;

/// The text `Hello` in RFC 7692, section 7.2.3.1.
const HELLO: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

/// Upgrades at a path with further lines in the request.
#[track_caller]
fn upgraded(server: &TestServer, path: &str, lines: &str) -> (RawClient, Response) {
    let (client, response) = RawClient::request(server.address(), &upgrade_at(path, lines));
    assert_eq!(response.status, 101, "{lines:?}: {response:?}");
    (client, response)
}

#[track_caller]
fn deflating(server: &TestServer, path: &str) -> RawClient {
    let (client, response) = upgraded(server, path, OFFER);
    assert_eq!(response.header("Sec-WebSocket-Extensions"), Some(ACCEPTED));
    client
}

/// The payload of a compressed message.
fn deflated(message: &[u8]) -> Vec<u8> {
    let mut state = CompressorOxide::new(create_comp_flags_from_zip_params(6, -15, 0));
    state.set_format_and_level(DataFormat::Raw, 6);
    let mut out = vec![0; message.len() + message.len() / 4 + 100];
    let written = deflate(&mut state, message, &mut out, MZFlush::Sync).bytes_written;
    out[..written].strip_suffix(&[0, 0, 0xff, 0xff]).expect("the end of a block").to_vec()
}

/// The message in a compressed frame.
#[track_caller]
fn inflated(frame: &Frame) -> Vec<u8> {
    assert_ne!(frame.first & RSV1, 0, "{frame:?}");
    let end = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];
    decompress_to_vec(&[&frame.payload[..], &end].concat()).expect("DEFLATE data")
}

/// Bytes that cannot be compressed.
fn random(len: usize) -> Vec<u8> {
    (0..len).map(|_| rand::random()).collect()
}

#[test]
fn an_offer_is_accepted_without_context_takeover_or_declined() {
    let server = TestServer::start();
    for (lines, accepted) in [
        (OFFER, Some(ACCEPTED)),
        ("", None),
        ("Sec-WebSocket-Extensions: x-webkit-deflate-frame\r\n", None),
        ("Sec-WebSocket-Extensions: bbf-usp-protocol, permessage-bzip2; level=9\r\n", None),
        ("Sec-WebSocket-Extensions: permessage-deflate; mystery=1\r\n", None),
        ("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=7\r\n", None),
        ("Sec-WebSocket-Extensions: =,;\"\\\r\n", None),
        (
            "Sec-WebSocket-Extensions: foo, permessage-deflate; mystery\r\nsec-websocket-extensions:permessage-deflate;\tserver_max_window_bits=9\r\n",
            Some(
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=9; client_no_context_takeover",
            ),
        ),
    ] {
        for path in ["/", "/echo", "/mirror"] {
            let (mut client, response) = upgraded(&server, path, lines);
            let answer = response.header("Sec-WebSocket-Extensions");
            assert_eq!(answer, accepted, "{path} {lines:?}");
            client.send(&close(1000));
            assert_eq!(client.close_code(), Some(1000));
        }
    }
}

#[test]
fn a_compressed_ping_is_recorded_and_pong_is_never_compressed() {
    let server = TestServer::start();
    let mut client = deflating(&server, "/");
    let ping = br#"{"client_name": "Client-300", "message": "Ping!"}"#;
    for _ in 0..2 {
        client.send(&frame(first::TEXT | RSV1, &deflated(ping)));
        let pong = client.frame();
        assert_eq!((pong.first, pong.text()), (first::TEXT, "Pong!"));
    }
    client.send(&frame(first::TEXT, ping));
    assert_eq!(client.frame().text(), "Pong!");
    assert_eq!(server.log().pings(), [("Client-300", "Ping!"); 3]);
}

#[test]
fn a_reply_is_compressed_where_that_makes_it_smaller() {
    let server = TestServer::start();
    let mut client = deflating(&server, "/mirror");
    let long = "ping and pong, ".repeat(1000);
    for kind in [first::TEXT, first::BINARY] {
        client.send(&frame(kind | RSV1, &deflated(long.as_bytes())));
        let reply = client.frame();
        assert_eq!(reply.first, kind | RSV1);
        assert!(reply.payload.len() < 500, "{}", reply.payload.len());
        assert_eq!(inflated(&reply), long.as_bytes());
        // A message that is not compressed may get a compressed reply.
        client.send(&frame(kind, long.as_bytes()));
        assert_eq!(inflated(&client.frame()), long.as_bytes());
    }
    for len in [0, 1, 40, 1000, 64 * 1024] {
        let message = random(len);
        client.send(&frame(first::BINARY | RSV1, &deflated(&message)));
        let reply = client.frame();
        assert_eq!((reply.first, reply.payload), (first::BINARY, message), "{len} bytes");
    }
    // Without agreement nothing is compressed.
    let mut plain = server.raw_at("/mirror");
    plain.send(&frame(first::TEXT, long.as_bytes()));
    assert_eq!(plain.frame().text(), long);
}

#[test]
fn every_service_takes_and_sends_compressed_messages() {
    let server = TestServer::start();
    let text = "all that repeats, repeats, repeats, repeats and repeats";
    let mut echo = deflating(&server, "/echo");
    echo.send(&frame(first::TEXT | RSV1, &deflated(text.as_bytes())));
    assert_eq!(inflated(&echo.frame()), format!("[RE]: {text}").as_bytes());

    let mut total = deflating(&server, "/total");
    total.send(&frame(first::TEXT | RSV1, &deflated(b"42")));
    assert_eq!(total.frame().text(), "Server records total=42");

    let mut status = deflating(&server, "/status");
    status.send(&frame(first::TEXT | RSV1, &deflated(b"?")));
    let json: serde_json::Value = serde_json::from_slice(&inflated(&status.frame())).unwrap();
    assert!(json.is_object(), "{json}");

    // An error is a reply like any other.
    let mut ping = deflating(&server, "/");
    ping.send(&frame(first::TEXT | RSV1, HELLO));
    let error = inflated(&ping.frame());
    assert!(error.starts_with(b"Error: "), "{}", String::from_utf8_lossy(&error));
}

#[test]
fn a_smaller_window_is_kept_to() {
    let server = TestServer::start();
    let block = random(700);
    let message = [&block[..], &block].concat();
    for (bits, is_smaller) in [(15, true), (10, true), (9, false), (8, false)] {
        let offer = format!(
            "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits={bits}\r\n"
        );
        let (mut client, _) = upgraded(&server, "/mirror", &offer);
        client.send(&frame(first::BINARY, &message));
        let reply = client.frame();
        // The second half can refer to the first only across 700 bytes.
        assert_eq!(reply.first & RSV1 != 0, is_smaller, "{bits} bits");
        client.send(&frame(first::BINARY, &[7; 256]));
        assert_eq!(inflated(&client.frame()), [7; 256], "{bits} bits");
    }
}

#[test]
fn fragments_with_control_frames_between_them_make_a_message() {
    let server = TestServer::start();
    let mut client = deflating(&server, "/mirror");
    let text = "fragments, ".repeat(100);
    let payload = deflated(text.as_bytes());
    let (head, tail) = payload.split_at(5);
    client.send(&frame(first::TEXT_BEGINS | RSV1, head));
    client.send(&frame(first::PING, b"between"));
    assert_eq!(client.frame(), Frame { first: first::PONG, payload: b"between".into() });
    client.send(&frame(first::GOES_ON, b""));
    for byte in frame(first::ENDS, tail) {
        client.send(&[byte]);
    }
    assert_eq!(inflated(&client.frame()), text.as_bytes());
    // Messages of either kind take turns.
    client.send(&[frame(first::TEXT | RSV1, HELLO), frame(first::TEXT, b"plain")].concat());
    assert_eq!((client.frame().text(), client.frame().text()), ("Hello", "plain"));
}

#[test]
fn a_violation_of_the_extension_closes_with_its_code() {
    let server = TestServer::start();
    let ping = || frame(first::TEXT | RSV1, &deflated(b"x"));
    for (what, code, bytes) in [
        ("no DEFLATE data", 1007, frame(first::TEXT | RSV1, &[0xff; 10])),
        ("a block that has not ended", 1007, frame(first::TEXT | RSV1, &HELLO[..3])),
        ("text that is not UTF-8", 1007, frame(first::TEXT | RSV1, &deflated(b"\xff"))),
        ("RSV2", 1002, frame(first::TEXT | 0x20, HELLO)),
        ("RSV3 and RSV1", 1002, frame(first::TEXT | 0x50, HELLO)),
        ("RSV1 on a control frame", 1002, frame(first::PING | RSV1, HELLO)),
        (
            "RSV1 on a further fragment",
            1002,
            [frame(first::TEXT_BEGINS | RSV1, HELLO), frame(first::ENDS | RSV1, HELLO)].concat(),
        ),
        ("a message within a message", 1002, [frame(0x01 | RSV1, HELLO), ping()].concat()),
        ("binary for a service of text", 1003, frame(first::BINARY | RSV1, HELLO)),
    ] {
        let mut client = deflating(&server, "/echo");
        client.send(&ping());
        assert_eq!(client.frame().text(), "[RE]: x");
        client.send(&bytes);
        assert_eq!(client.close_code(), Some(code), "{what}");
    }
    let mut client = server.raw_at("/echo");
    client.send(&ping());
    assert_eq!(client.close_code(), Some(1002), "RSV1 without agreement");
    server.event("closed with 1007: the compressed message cannot be decompressed");
    let broken = r#"websockets_errors_total{cause="invalid_compression"}"#;
    wait_until("both are counted", || server.metrics().get(broken) == 2.0);
}

#[test]
fn a_bomb_ends_at_the_limit_on_messages() {
    let server = TestServer::builder().env("MAX_MESSAGE", "20000").env("WORKERS", "1").start();
    let mut client = deflating(&server, "/mirror");
    client.send(&frame(first::TEXT | RSV1, &deflated(&[b' '; 20_000])));
    assert_eq!(inflated(&client.frame()), [b' '; 20_000]);
    let incompressible = random(20_000);
    client.send(&frame(first::BINARY | RSV1, &deflated(&incompressible)));
    assert_eq!(client.frame().payload, incompressible);
    client.send(&frame(first::TEXT | RSV1, &deflated(&[b' '; 20_001])));
    assert_eq!(client.close_code(), Some(1009));

    let memory = || server.metrics().get("process_resident_memory_bytes");
    let before = memory();
    let bomb = deflated(&vec![0; 15 << 20]);
    for _ in 0..20 {
        let mut client = deflating(&server, "/mirror");
        client.send(&frame(first::BINARY | RSV1, &bomb));
        assert_eq!(client.close_code(), Some(1009));
    }
    let grown = memory() - before;
    assert!(grown < 4e6, "{grown} bytes");
    server.event("closed with 1009: the message has more than 20000 bytes (MAX_MESSAGE)");
}

#[test]
fn unfinished_compressed_messages_are_bounded_as_others_are() {
    let server = TestServer::builder().env("WORKERS", "1").env("MAX_UNFINISHED", "131072").start();
    let mut clients: Vec<_> = (0..3).map(|_| deflating(&server, "/mirror")).collect();
    for client in &mut clients {
        client.send(&frame(first::BINARY & 0x0f | RSV1, &random(50_000)));
    }
    assert_eq!(clients[0].close_code(), Some(1013));
}

#[test]
fn compression_can_be_turned_off() {
    for builder in [
        TestServer::builder().env("COMPRESSION", "off"),
        TestServer::builder().env("COMPRESSION", "on").arg("--compression=off"),
    ] {
        let server = builder.start();
        let (mut client, response) = upgraded(&server, "/mirror", OFFER);
        assert_eq!(response.header("Sec-WebSocket-Extensions"), None);
        client.send(&frame(first::TEXT | RSV1, HELLO));
        assert_eq!(client.close_code(), Some(1002));
    }
}

#[test]
fn bytes_count_before_and_after() {
    let server = TestServer::start();
    let mut client = deflating(&server, "/mirror");
    let text = "counted ".repeat(100);
    let payload = deflated(text.as_bytes());
    client.send(&frame(first::TEXT | RSV1, &payload));
    let reply = client.frame();
    // Neither message is compressed.
    client.send(&frame(first::TEXT, b"short"));
    client.frame();
    wait_until("the counts", || {
        let metrics = server.metrics();
        let all = [
            (r#"websockets_compressed_bytes_total{direction="received"}"#, payload.len()),
            (r#"websockets_uncompressed_bytes_total{direction="received"}"#, text.len()),
            (r#"websockets_compressed_bytes_total{direction="sent"}"#, reply.payload.len()),
            (r#"websockets_uncompressed_bytes_total{direction="sent"}"#, text.len()),
            ("websockets_compressed_connections_total", 1),
        ];
        all.iter().all(|&(sample, value)| metrics.get(sample) == value as f64)
    });
}

#[test]
#[ignore = "needs Python with websockets"]
fn python_talks_with_and_without_compression() {
    let server = TestServer::start();
    let output = python(CLIENT).env("SERVER_URL", format!("ws://{}", server.address())).output();
    let output = output.unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(stdout, "deflate: 8 messages\nwindow of 9 bits: 8 messages\nplain: 8 messages\n");
}
