//! Frames of WebSocket on the wire (RFC 6455, section 5), and the replies to them.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::support::{
    Frame, RawClient, TestServer, UPGRADE, close, first, frame, ping_frame, ping_text, rounds, seed,
};

/// Fails unless the server closes a connection with `code` after `bytes`.
#[track_caller]
fn assert_closed_with(server: &TestServer, code: u16, what: &str, bytes: &[u8]) {
    let mut client = server.raw();
    client.send(bytes);
    assert_eq!(client.close_code(), Some(code), "{what}");
}

#[test]
fn a_binary_frame_is_closed_with_1003() {
    let server = TestServer::start();
    assert_closed_with(&server, 1003, "text in a binary frame", &frame(first::BINARY, b"{}"));
    assert_closed_with(&server, 1003, "an empty binary frame", &frame(first::BINARY, b""));
    // The payload need not come.
    let header = &frame(first::BINARY, &[0; 1000])[..8];
    assert_closed_with(&server, 1003, "the header of a binary frame", header);
    server.assert_serves();
}

#[test]
fn a_message_over_the_limit_is_closed_with_1009() {
    let server = TestServer::start();
    let over = vec![b'x'; 64 * 1024 + 1];
    let (begin, end) = over.split_at(40_000);
    let fragments = [frame(first::TEXT_BEGINS, begin), frame(first::ENDS, end)].concat();
    let mut many = frame(first::TEXT_BEGINS, b"");
    for block in over.chunks(1000) {
        many.extend(frame(first::GOES_ON, block));
    }
    let announced = [&[0x81, 0xff][..], &(1_u64 << 40).to_be_bytes(), &[1, 2, 3, 4]].concat();
    assert_closed_with(&server, 1009, "one frame", &frame(first::TEXT, &over));
    assert_closed_with(&server, 1009, "two fragments", &fragments);
    assert_closed_with(&server, 1009, "many fragments without an end", &many);
    assert_closed_with(&server, 1009, "a frame that only announces its size", &announced);
    server.assert_serves();
}

#[test]
fn a_message_of_exactly_the_limit_is_taken() {
    let server = TestServer::start();
    let ping = |len: usize| {
        let text = ping_text("Client-300", "");
        text.replace(
            r#""message": """#,
            &format!(r#""message": "{}""#, "x".repeat(len - text.len())),
        )
    };
    let mut client = server.raw();
    client.send(&frame(first::TEXT, ping(64 * 1024).as_bytes()));
    assert_eq!(client.frame().text(), "Pong!");

    let server = server.again().env("MAX_MESSAGE", "100").start();
    let mut client = server.raw();
    client.send(&frame(first::TEXT, ping(100).as_bytes()));
    assert_eq!(client.frame().text(), "Pong!");
    client.send(&frame(first::TEXT, ping(101).as_bytes()));
    assert_eq!(client.close_code(), Some(1009));
}

#[test]
fn text_that_is_not_utf_8_is_closed_with_1007() {
    let server = TestServer::start();
    let torn = [frame(first::TEXT_BEGINS, b"\xe3\x81"), frame(first::ENDS, b"x")].concat();
    assert_closed_with(&server, 1007, "in one frame", &frame(first::TEXT, b"{\"\xff\"}"));
    assert_closed_with(&server, 1007, "a surrogate", &frame(first::TEXT, b"\xed\xa0\x80"));
    assert_closed_with(&server, 1007, "in fragments", &torn);
    server.assert_serves();
}

#[test]
fn a_text_is_refused_at_its_first_wrong_byte() {
    let server = TestServer::start();
    let mut fragment = frame(first::TEXT_BEGINS, b"wrong \xff");
    fragment.extend(&frame(first::ENDS, b"never comes")[..3]);
    let mut cut = frame(first::TEXT, &[b"wrong \xff", &[b'x'; 500][..]].concat());
    cut.truncate(100);
    for bytes in [fragment, cut] {
        let start = Instant::now();
        let mut client = server.raw();
        client.send(&bytes);
        assert_eq!(client.close_code(), Some(1007));
        assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    }
}

#[test]
fn a_character_may_be_split_over_fragments() {
    let server = TestServer::start();
    let text = ping_text("日本", "語");
    let (begin, end) = text.as_bytes().split_at(text.find('本').unwrap() + 1);
    let mut client = server.raw();
    client.send(&frame(first::TEXT_BEGINS, begin));
    client.send(&frame(first::ENDS, end));
    assert_eq!(client.frame().text(), "Pong!");
    assert_eq!(server.log().pings(), [("日本", "語")]);
}

#[test]
fn a_broken_frame_is_closed_with_1002() {
    let server = TestServer::start();
    let begun = frame(first::TEXT_BEGINS, b"{");
    let broken: [(&str, Vec<u8>); 15] = [
        ("an unmasked frame", b"\x81\x02{}".to_vec()),
        ("an unmasked ping", b"\x89\x00".to_vec()),
        ("reserved bit 1", frame(0xc1, b"{}")),
        ("reserved bit 2", frame(0xa1, b"{}")),
        ("reserved bit 3", frame(0x91, b"{}")),
        ("data frame of unknown kind 3", frame(0x83, b"{}")),
        ("data frame of unknown kind 7", frame(0x87, b"")),
        ("control frame of unknown kind 11", frame(0x8b, b"{}")),
        ("control frame of unknown kind 15", frame(0x8f, b"")),
        ("a fragmented ping", frame(0x09, b"a")),
        ("a fragmented close", frame(0x08, &1000_u16.to_be_bytes())),
        ("a ping of 126 bytes", frame(first::PING, &[b'x'; 126])),
        ("a continuation of nothing", frame(first::ENDS, b"{}")),
        ("a text within a text", [begun, frame(first::TEXT, b"{}")].concat()),
        ("a close of one byte", frame(first::CLOSE, b"\x03")),
    ];
    for (what, bytes) in broken {
        assert_closed_with(&server, 1002, what, &bytes);
    }
    server.assert_serves();
}

#[test]
fn a_frame_that_is_broken_in_its_header_is_refused_without_its_payload() {
    let server = TestServer::start();
    for (bytes, code) in [
        (&[0xc1, 0x85][..], 1002),
        (&[0x81, 0x05], 1002),
        (&[0x83], 1002),
        (&[0x09, 0x80], 1002),
        (&[0x89, 0xfe], 1002),
        (&[0x80, 0x85, 1, 2, 3, 4], 1002),
        (&[0x81, 0xfe, 0, 5], 1002),
        (&[0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 1, 2, 3, 4], 1009),
    ] {
        let start = Instant::now();
        let mut client = server.raw();
        client.send(bytes);
        assert_eq!(client.close_code(), Some(code), "{bytes:x?}");
        assert!(start.elapsed() < Duration::from_secs(8), "{bytes:x?}: {:?}", start.elapsed());
    }
}

#[test]
fn a_ping_before_a_protocol_error_in_the_same_write_is_still_answered() {
    let server = TestServer::start();
    for (code, offence) in [
        (1002, frame(0x83, b"{}")),
        (1002, b"\x81\x02{}".to_vec()),
        (1003, frame(first::BINARY, b"")),
        (1007, frame(first::TEXT, b"\xff")),
        (1009, frame(first::TEXT, &[b'x'; 70_000])),
    ] {
        let mut client = server.raw();
        client.send(&[ping_frame("Client-300", "Ping!"), offence].concat());
        client.assert_pongs_and_close(1, code);
    }
}

#[test]
fn a_thousand_pings_in_one_write_are_answered_in_order() {
    let server = TestServer::start();
    let mut client = server.raw();
    // Every seventh message is invalid, so that the order of the replies is visible.
    let text = |number: usize| match number % 7 {
        0 => "hello".into(),
        _ => ping_text("Client-300", &number.to_string()),
    };
    let frames: Vec<_> =
        (0..1000).map(|number| frame(first::TEXT, text(number).as_bytes())).collect();
    client.send(&frames.concat());
    for number in 0..1000 {
        let reply = client.frame();
        let expected = if number % 7 == 0 { "Error: " } else { "Pong!" };
        assert!(reply.text().starts_with(expected), "{number}: {reply:?}");
    }
    let log = server.log();
    let numbers: Vec<usize> =
        log.lines().iter().map(|line| line.message.parse().unwrap()).collect();
    assert_eq!(numbers, (0..1000).filter(|number| number % 7 != 0).collect::<Vec<_>>());
}

#[test]
fn frames_after_a_close_are_ignored() {
    let server = TestServer::start();
    let mut client = server.raw();
    let ping = ping_frame("Client-200", "Ping!");
    client.send(&[ping.clone(), close(1000), ping].concat());
    client.assert_pongs_and_close(1, 1000);
    assert_eq!(server.log().lines().len(), 1);
}

#[test]
fn a_close_right_after_pings_is_answered_after_their_pongs() {
    let server = TestServer::start();
    for pings in [1, 2, 200] {
        let mut client = server.raw();
        client.send(&[ping_frame("Client-300", "Ping!").repeat(pings), close(1000)].concat());
        client.assert_pongs_and_close(pings, 1000);
    }
    assert_eq!(server.log().lines().len(), 203);
}

#[test]
fn replies_to_messages_before_a_close_and_the_end_of_the_stream_are_sent_first() {
    let server = TestServer::start();
    let mut client = server.raw_at("/mirror");
    client.send(&[frame(first::TEXT, b"one"), frame(first::TEXT, b"two"), close(1000)].concat());
    client.end();
    let frames = client.frames_to_the_end();
    let texts: Vec<_> = frames[..2].iter().map(Frame::text).collect();
    assert_eq!(texts, ["one", "two"]);
    assert_eq!(frames[2].close_code(), Some(1000));
}

#[test]
fn a_close_is_answered_with_its_code_unless_that_is_not_allowed() {
    let server = TestServer::start();
    for code in [1000, 1001, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 4999] {
        assert_closed_with(&server, code, "an allowed code", &close(code));
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
        assert_closed_with(&server, 1002, &code.to_string(), &close(code));
    }
    let mut client = server.raw();
    client.send(&frame(first::CLOSE, b""));
    let frames = client.frames_to_the_end();
    assert_eq!(frames.len(), 1, "{frames:?}");
    assert_eq!((frames[0].first, frames[0].payload.len()), (first::CLOSE, 0));
}

#[test]
fn control_frames_may_stand_between_the_fragments_of_a_ping() {
    let server = TestServer::start();
    let mut client = server.raw();
    let text = ping_text("Client-300", "in pieces");
    let (begin, rest) = text.as_bytes().split_at(5);
    let (middle, end) = rest.split_at(10);
    client.send(&frame(first::TEXT_BEGINS, begin));
    client.send(&frame(first::PING, b"between"));
    let pong = client.frame();
    assert_eq!((pong.first, pong.payload.as_slice()), (first::PONG, b"between".as_slice()));
    client.send(&[frame(first::GOES_ON, middle), frame(first::PONG, b"")].concat());
    client.send(&[frame(first::GOES_ON, b""), frame(first::ENDS, end)].concat());
    assert_eq!(client.frame().text(), "Pong!");
    assert_eq!(server.log().pings(), [("Client-300", "in pieces")]);
}

#[test]
fn a_protocol_ping_is_answered_with_its_payload_and_leaves_no_line() {
    let server = TestServer::start();
    let mut client = server.raw();
    for payload in [&b""[..], b"hello", &[0xff; 125]] {
        client.send(&frame(first::PING, payload));
        let pong = client.frame();
        assert_eq!((pong.first, pong.payload.as_slice()), (first::PONG, payload));
    }
    client.send(&frame(first::PONG, b"nobody asked"));
    client.send(&ping_frame("Client-300", "Ping!"));
    assert_eq!(client.frame().text(), "Pong!");
    assert_eq!(server.log().lines().len(), 1);
}

#[test]
fn a_protocol_ping_right_after_a_ping_is_answered_at_once() {
    let server = TestServer::start();
    let start = Instant::now();
    for _ in 0..20 {
        let mut client = server.raw();
        client.send(&[ping_frame("Client-300", "Ping!"), frame(first::PING, b"behind")].concat());
        let mut replies = [client.frame(), client.frame()].map(|frame| frame.payload);
        replies.sort();
        assert_eq!(replies, [b"Pong!".to_vec(), b"behind".to_vec()]);
    }
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

/// Sends frames of every allowed kind in writes of random sizes. Fails unless the replies come in
/// order and soon.
fn assert_any_conversation_is_answered(server: &TestServer, rng: &mut StdRng) {
    let mut client = server.raw();
    let mut bytes = Vec::new();
    let mut expected = Vec::new();
    for _ in 0..rng.random_range(1..30) {
        let text = ping_text("Client-300", &"x".repeat(rng.random_range(0..300)));
        let (begin, end) = text.as_bytes().split_at(rng.random_range(0..text.len()));
        match rng.random_range(0..6) {
            0 => bytes.extend(frame(first::PING, b"p")),
            1 => bytes.extend(frame(first::PONG, b"")),
            2 => {
                bytes.extend(frame(first::TEXT, b"no ping"));
                expected.push("Error");
            }
            3 => {
                bytes.extend(frame(first::TEXT_BEGINS, begin));
                bytes.extend(frame(first::PING, b"p"));
                bytes.extend(frame(first::ENDS, end));
                expected.push("Pong!");
            }
            _ => {
                bytes.extend(frame(first::TEXT, text.as_bytes()));
                expected.push("Pong!");
            }
        }
    }
    bytes.extend(close(1000));
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(rng.random_range(1..=rest.len()));
        client.send(piece);
        rest = later;
    }
    let start = Instant::now();
    let mut frames = client.frames_to_the_end();
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    assert_eq!(frames.pop().and_then(|frame| frame.close_code()), Some(1000));
    let replies: Vec<_> = frames.iter().filter(|frame| frame.first != first::PONG).collect();
    assert_eq!(replies.len(), expected.len(), "{frames:?}");
    for (reply, expected) in replies.iter().zip(expected) {
        assert!(reply.text().starts_with(expected), "{reply:?}, not {expected}");
    }
}

#[test]
fn however_a_conversation_is_cut_into_writes_it_is_answered() {
    let mut rng = StdRng::seed_from_u64(seed());
    for sync in ["no", "always"] {
        let server = TestServer::builder().env("LOG_SYNC", sync).start();
        for _ in 0..rounds(100) {
            assert_any_conversation_is_answered(&server, &mut rng);
        }
    }
}

#[test]
fn pings_in_the_same_write_as_the_handshake_are_answered() {
    let server = TestServer::start();
    for (pings, is_end) in [(1, false), (1000, false), (3, true)] {
        let mut client = RawClient::connect(server.address());
        let ping = ping_frame("Client-300", "Ping!");
        client.send(&[UPGRADE.as_bytes(), &ping.repeat(pings)].concat());
        if is_end {
            client.end();
        }
        assert_eq!(client.response().status, 101);
        for _ in 0..pings {
            assert_eq!(client.frame().text(), "Pong!");
        }
        if is_end {
            assert_eq!(client.body(), "", "a Pong is the last byte before the end of the stream");
        }
    }
}

#[test]
fn a_ping_that_comes_byte_by_byte_is_answered() {
    let server = TestServer::start();
    let mut client = RawClient::connect(server.address());
    for byte in [UPGRADE.as_bytes(), &ping_frame("Client-300", "Ping!")].concat() {
        client.send(&[byte]);
    }
    assert_eq!(client.response().status, 101);
    assert_eq!(client.frame().text(), "Pong!");
}

#[test]
fn random_bytes_do_not_stop_the_server() {
    let mut rng = StdRng::seed_from_u64(seed());
    let server = TestServer::start();
    for _ in 0..rounds(200) {
        let mut client = server.raw();
        let mut bytes = ping_frame("Client-300", "Ping!").repeat(rng.random_range(1..4));
        match rng.random_range(0..3) {
            0 => bytes.clear(),
            1 => bytes.truncate(rng.random_range(0..bytes.len())),
            _ => {
                for _ in 0..rng.random_range(1..5) {
                    let at = rng.random_range(0..bytes.len());
                    bytes[at] = rng.random();
                }
            }
        }
        bytes.extend((0..rng.random_range(0..300)).map(|_| rng.random::<u8>()));
        client.send(&bytes);
        client.end();
        client.frames_to_the_end();
    }
    server.assert_serves();
    assert_eq!(server.events("panicked"), [""; 0]);
    server.log();
}
