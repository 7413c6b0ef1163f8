//! Peers that announce much, begin much and send what is broken.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use crate::support::{Frame, RawClient, TestServer, close, eventually, first, frame};

/// The header of a masked binary frame of 16 MiB, and five bytes of it.
fn announced() -> Vec<u8> {
    let mut bytes = vec![0x82, 0xff];
    bytes.extend_from_slice(&(16_u64 << 20).to_be_bytes());
    bytes.extend_from_slice(&[0; 4 + 5]);
    bytes
}

#[test]
fn memory_follows_what_arrives_and_not_what_is_announced() {
    let builder = TestServer::builder().env("MAX_MESSAGE", "1G").env("MAX_UNFINISHED", "4G");
    let server = builder.env("WORKERS", "1").start();
    let before = server.memory();
    let mut peers: Vec<_> = (0..100).map(|_| server.raw_at("/mirror")).collect();
    peers.iter_mut().for_each(|peer| peer.send(&announced()));
    server.assert_serves();
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes for 100 announcements");
}

#[test]
fn unfinished_messages_share_one_bound_and_the_oldest_make_room() {
    let builder = TestServer::builder().env("MAX_UNFINISHED", "1M").env("WORKERS", "1");
    let server = builder.start();
    let half = frame(first::BINARY, &[0; 60_000]);
    let mut peers: Vec<_> = (0..60).map(|_| server.raw_at("/mirror")).collect();
    for peer in &mut peers {
        peer.send(&half[..50_000]);
    }
    assert_eq!(peers[0].close_code(), Some(1013));
    let mut honest = server.raw_at("/mirror");
    honest.send(&half[..50_000]);
    honest.send(&half[50_000..]);
    assert_eq!(honest.frame().payload.len(), 60_000);
    let last = peers.last_mut().unwrap();
    last.send(&half[50_000..]);
    assert_eq!(last.frame().payload.len(), 60_000);
    let evicted = "websockets_errors_total{cause=\"unfinished_evicted\"}";
    eventually("it is counted", || (server.metrics().get(evicted) > 0.0).then_some(()));
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
        let mut peer = server.raw();
        peer.send(bytes);
        assert_eq!(peer.close_code(), Some(code), "{bytes:x?}");
        assert!(start.elapsed() < Duration::from_secs(8), "{bytes:x?}: {:?}", start.elapsed());
    }
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
        let mut peer = server.raw();
        peer.send(&bytes);
        assert_eq!(peer.close_code(), Some(1007));
        assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    }
}

#[test]
fn registered_close_codes_are_answered_with_the_same() {
    let server = TestServer::start();
    for code in [1000, 1001, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 4999] {
        let mut peer = server.raw();
        peer.send(&close(code));
        assert_eq!(peer.close_code(), Some(code));
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
        let mut peer = server.raw();
        peer.send(&close(code));
        assert_eq!(peer.close_code(), Some(1002), "{code}");
    }
}

#[test]
fn the_replies_to_what_came_before_a_close_are_sent_first() {
    let server = TestServer::start();
    let mut peer = server.raw_at("/mirror");
    let mut bytes = frame(first::TEXT, b"one");
    bytes.extend(frame(first::TEXT, b"two"));
    bytes.extend(close(1000));
    peer.send(&bytes);
    peer.end();
    let frames = peer.frames_to_the_end();
    let texts: Vec<_> = frames[..2].iter().map(Frame::text).collect();
    assert_eq!(texts, ["one", "two"]);
    assert_eq!(frames.last().and_then(Frame::close_code), Some(1000));
}

#[test]
fn pings_that_come_with_the_request_and_its_end_are_all_answered() {
    let server = TestServer::start();
    let mut peer = RawClient::connect(server.address());
    let mut bytes = crate::support::UPGRADE.as_bytes().to_vec();
    for _ in 0..3 {
        bytes.extend(frame(first::TEXT, crate::support::ping_text("a", "Ping!").as_bytes()));
    }
    peer.send(&bytes);
    peer.end();
    assert_eq!(peer.response().status, 101);
    for _ in 0..3 {
        assert_eq!(peer.frame().text(), "Pong!");
    }
    match peer.try_frame() {
        Err(error) => assert_eq!(error.kind(), ErrorKind::UnexpectedEof),
        Ok(frame) => panic!("{frame:?}"),
    }
}
