//! The services other than ping/pong.

use crate::support::{TestClient, TestServer, first, frame, is_over};

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[test]
fn echo_and_ws_mark_the_text() {
    let server = TestServer::start();
    let host = host_name();
    for (path, mark) in [("/echo", "[RE]: ".to_owned()), ("/ws", format!("[{host}] "))] {
        let mut client = server.connect_to(path);
        if path == "/ws" {
            assert_eq!(client.reply(), format!("{mark}hello :) type a message and press ENTER"));
        }
        for text in ["hello", "", " two\nlines ", "日本語", "{\"client_name\": \"a\"}"] {
            assert_eq!(client.ask(text), format!("{mark}{text}"), "{path}");
        }
    }
    assert_eq!(server.log_text(), "");
}

#[test]
fn the_mirror_returns_each_message_as_it_came() {
    let server = TestServer::start();
    let mut client = server.raw_at("/mirror");
    for len in [0, 1, 125, 126, 127, 65_535, 65_536] {
        for first in [first::TEXT, first::BINARY] {
            let payload: Vec<_> = (0..len).map(|index: usize| (index % 128) as u8).collect();
            client.send(&frame(first, &payload));
            let reply = client.frame();
            assert_eq!((reply.first, reply.payload), (first, payload));
        }
    }
    let begin = frame(first::BINARY & 0x0f, b"in ");
    let rest = [frame(first::GOES_ON, &[0xff]), frame(first::ENDS, b" parts")].concat();
    client.send(&[begin, rest].concat());
    assert_eq!(client.frame().payload, b"in \xff parts");
}

#[test]
fn the_mirror_returns_a_long_message_and_then_the_next() {
    let server = TestServer::builder().env("MAX_MESSAGE", "32M").start();
    let mut client = server.raw_at("/mirror");
    let payload: Vec<_> = (0..32 << 20).map(|index: usize| (index % 251) as u8).collect();
    client.send(&frame(first::BINARY, &payload));
    assert!(client.frame().payload == payload);
    client.send(&frame(first::TEXT, b"next"));
    assert_eq!(client.frame().text(), "next");
}

#[test]
fn binary_frames_are_for_the_mirror_alone() {
    let server = TestServer::start();
    for path in ["/", "/echo", "/ws", "/total"] {
        let mut client = server.raw_at(path);
        client.send(&frame(first::BINARY, b"1"));
        assert_eq!(client.close_code(), Some(1003), "{path}");
    }
}

#[test]
fn a_peer_of_the_mirror_that_does_not_read_costs_little_memory() {
    let server = TestServer::builder().env("REPLY_DELAY", "600").start();
    let before = server.memory();
    let mut client = server.raw_at("/mirror");
    let message = frame(first::BINARY, &[0; 65_536]);
    client.stream().set_write_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
    let refused = (0..1024).find_map(|_| client.try_send(&message).err());
    assert!(refused.is_some_and(|error| !is_over(&error)), "it reads 64 MiB ahead");
    let grown = server.memory() - before;
    assert!(grown < 8 << 20, "{grown} bytes");
    assert_eq!(server.health().status, 200);
}

#[test]
fn the_total_is_that_of_all_connections_and_exact() {
    let server = TestServer::start();
    let mut clients = [server.connect_to("/total"), server.connect_to("/total")];
    assert_eq!(clients[0].ask("40"), "Server records total=40");
    assert_eq!(clients[1].ask(" 2\n"), "Server records total=42");
    for _ in 0..9 {
        clients[0].ask("0.1");
    }
    assert_eq!(clients[1].ask("0.1"), "Server records total=43");
    assert_eq!(clients[0].ask("-43.5"), "Server records total=-0.5");
    clients.into_iter().for_each(TestClient::close);
    assert_eq!(server.connect_to("/total").ask("+.5"), "Server records total=0");
    assert_eq!(server.log_text(), "");
}

#[test]
fn an_invalid_ping_is_reported_with_the_reason_and_the_other_paths() {
    let server = TestServer::start();
    let mut client = server.connect();
    let expected = "Error: expected a JSON object like {\"client_name\": \"Client-100\", \"message\": \"Ping!\"}: ";
    for (text, reason) in [
        ("hello", "it is not a JSON object"),
        (r#"{"client_name": "a"}"#, "missing field `message`"),
        (r#"{"client_name": 1, "message": "a"}"#, "invalid type: integer `1`, expected a string"),
    ] {
        let others = "; the other services are at /echo, /ws, /mirror, /total, /status, /probe";
        assert_eq!(client.ask(text), format!("{expected}{reason}{others}"));
    }
}

#[test]
fn an_invalid_number_is_reported_and_changes_nothing() {
    let server = TestServer::start();
    let mut client = server.connect_to("/total");
    client.ask("7");
    for text in ["", "seven", "1e3", "NaN", "inf", "0x1", "1,5", "1 2"] {
        let reply = client.ask(text);
        assert_eq!(reply, "Error: expected a number, whole or decimal, such as 42 or -0.5");
    }
    for text in ["9".repeat(19), "9".repeat(38), format!("0.{}1", "0".repeat(18))] {
        let expected =
            "Error: expected a number of at most 18 digits before the point and 18 behind it";
        assert_eq!(client.ask(&text), expected);
    }
    assert_eq!(client.ask("0"), "Server records total=7");
    server.event("invalid message: expected a number");
}

#[test]
fn numbers_that_come_at_once_are_added_in_their_order() {
    let server = TestServer::start();
    let mut client = server.raw_at("/total");
    let frames: Vec<_> = (1..=1000)
        .flat_map(|number: u32| frame(first::TEXT, number.to_string().as_bytes()))
        .collect();
    client.send(&frames);
    for number in 1..=1000_u32 {
        let total = number * (number + 1) / 2;
        assert_eq!(client.frame().text(), format!("Server records total={total}"));
    }
}

#[test]
fn every_service_closes_with_1001_when_the_server_stops() {
    let mut server = TestServer::start();
    let mut clients =
        ["/", "/echo", "/ws", "/mirror", "/total", "/probe"].map(|path| server.raw_at(path));
    assert_eq!(server.stop().0, Some(0));
    for client in &mut clients {
        assert_eq!(client.close_code(), Some(1001));
    }
}
