//! Connections that are made, and what passes over them.

use std::io::Write;
use std::net::TcpStream;
use std::thread;

use super::{Told, assert_shown, why};
use crate::fake::{Fake, drain, read_frame, switching};
use crate::real_server::RealServer;

#[test]
fn messages_and_pings_that_pass_are_reported() {
    let server = RealServer::start(&["--max-message", "100000"]);
    for (path, binary, server_ping) in
        [("/mirror", true, None), ("/probe", false, Some(true)), ("/", false, None)]
    {
        let told = why(&(server.url() + path), &[]);
        assert_eq!((told.status, told.rows()), (Some(0), vec![]), "{}", told.verdict);
        let limits = &told.verdict["limits"];
        for name in ["text", "fragments", "protocol_ping"] {
            assert_eq!(limits[name], true, "{path} {name}: {limits}");
        }
        assert_eq!(limits["binary"], binary, "{path}: {limits}");
        assert_eq!(limits["server_ping"].as_bool(), server_ping, "{path}: {limits}");
        assert_eq!(limits["message"], 100_000, "{path}: {limits}");
        assert_eq!(told.verdict["changed"], serde_json::json!([]), "{path}");
        assert_eq!(told.verdict["status"], 101);
    }
}

#[test]
fn a_message_that_has_to_pass_and_does_not_is_a_failure() {
    let server = RealServer::start(&[]);
    let url = server.url() + "/mirror";
    let told = why(&url, &["--max-size", "65536"]);
    assert_eq!((told.status, &told.verdict["limits"]["message"]), (Some(0), &65536.into()));
    let told = why(&url, &["--max-size", "128K"]);
    told.is_diagnosis(19, "MAX_MESSAGE");
    assert_eq!(told.verdict["limits"]["message"], 65536);
    assert!(told.text("text").contains("65537 bytes does not pass"), "{}", told.verdict);
}

#[test]
fn no_message_is_sent_where_none_may_be() {
    let (server, url) = Fake::start();
    let serving = thread::spawn(move || {
        for _ in 0..2 {
            let mut peer = server.accept();
            let mut message = peer.next();
            while !message.is_close() {
                assert!(message.is_ping(), "{message}");
                message = peer.next();
            }
            peer.finish();
        }
    });
    let told = why(&url, &["--max-size", "0"]);
    serving.join().unwrap();
    assert_eq!(told.status, Some(0), "{}", told.verdict);
    assert_eq!(told.verdict["limits"]["text"], serde_json::Value::Null);
}

#[test]
fn subprotocol_and_compression_are_told() {
    let server = RealServer::start(&[]);
    let url = server.url() + "/echo";
    let told = why(&url, &["--subprotocol", "one,two", "--max-size", "0"]);
    assert_eq!(told.verdict["limits"]["subprotocol"], "one");

    let (server, url) = Fake::start();
    let serving = thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, head) = server.accept_head();
            let offer = "\r\nSec-WebSocket-Extensions: permessage-deflate";
            let answer = format!("{}; client_no_context_takeover\r\n", offer.trim_start());
            let extension = if head.contains(offer) { &*answer } else { "" };
            stream.write_all(switching(&head, extension).as_bytes()).unwrap();
            answer_frames(stream);
        }
    });
    let told = why(&url, &["--subprotocol", "one", "--max-size", "0"]);
    assert_eq!(told.status, Some(0), "{}", told.verdict);
    assert_eq!(told.verdict["limits"]["compression"], "agreed");
    assert_eq!(told.verdict["limits"]["subprotocol"], serde_json::Value::Null);
    serving.join().unwrap();
}

#[test]
fn an_extension_that_the_server_does_not_speak_is_told() {
    let (server, url) = Fake::start();
    let serving = thread::spawn(move || {
        for extension in ["", "Sec-WebSocket-Extensions: permessage-deflate\r\n"] {
            answer_frames(server.accept_with(extension).0);
        }
    });
    let told = why(&url, &["--max-size", "30"]);
    serving.join().unwrap();
    assert_eq!((told.status, told.rows()), (Some(1), vec![29]), "{}", told.verdict);
    assert!(told.text("text").contains("a compressed text does not pass"), "{}", told.verdict);
}

/// Answers Ping frames up to the Close frame, and fails the connection over a compressed message.
fn answer_frames(mut stream: TcpStream) {
    loop {
        let (first, payload) = read_frame(&mut stream);
        let answer = match first {
            0x89 => [&[0x8a, payload.len() as u8][..], &payload].concat(),
            0x88 => [&[0x88, payload.len() as u8][..], &payload].concat(),
            0xc1 => b"\x88\x11\x03\xeareserved bit 1!".to_vec(),
            _ => continue,
        };
        stream.write_all(&answer).unwrap();
        if first != 0x89 {
            return drain(stream);
        }
    }
}

/// ASCII in place of a frame has reserved bits or a reserved opcode.
#[test]
fn a_text_in_place_of_a_frame_is_shown_and_is_no_extension() {
    let long = "<html>".repeat(100);
    for (text, shown) in [
        ("{\"ok\":true}", r#""{\"ok\":true}""#),
        ("\r\n", r#""\r\n""#),
        (&long, &format!("{:?}", &long[..60])),
    ] {
        let (server, url) = Fake::start();
        let sent = text.to_owned();
        let serving = thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = server.accept_raw();
                let _ = stream.write_all(sent.as_bytes());
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
            }
        });
        let told = why(&url, &[]);
        serving.join().unwrap();
        let expected = format!("text came where a frame should begin: {shown}");
        assert!(told.text("text").contains(&expected), "{}", told.verdict);
        assert_eq!((told.status, told.rows()), (Some(1), vec![]), "{}", told.verdict);
    }
}

#[test]
fn a_server_that_breaks_frames_is_told() {
    // A compressed frame without an extension; a Close frame at once; no answer to a Ping frame.
    for (frame, rows, part) in [
        (&b"\xc1\x02hi"[..], &[29][..], "a reserved bit is set"),
        (b"\x88\x06\x03\xf0nope", &[], "closed by the server (1008: nope)"),
        (b"", &[], "a Ping frame is not answered"),
    ] {
        let (server, url) = Fake::start();
        let serving = thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = server.accept_raw();
                let _ = stream.write_all(frame);
                // Reads to the end of the connection, without sending a Close frame or FIN.
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
            }
        });
        let told = why(&url, &["--max-size", "0"]);
        assert_eq!((told.status, told.rows()), (Some(1), rows.to_vec()), "{}", told.verdict);
        assert!(told.text("text").contains(part), "{}", told.verdict);
        drop(serving);
    }
}

#[test]
fn a_cut_at_one_size_is_a_limit_on_the_way() {
    let (server, url) = Fake::start();
    thread::spawn(move || {
        loop {
            let mut peer = server.accept();
            thread::spawn(move || {
                loop {
                    let message = peer.next();
                    if message.is_close() {
                        return peer.finish();
                    }
                    // Without a Close frame.
                    if message.len() > 5000 {
                        return;
                    }
                }
            });
        }
    });
    let told = why(&url, &[]);
    assert_eq!((told.status, &told.verdict["limits"]["message"]), (Some(0), &5000.into()));
    let doubt =
        "but a message of 5001 bytes does not pass, and 5000 bytes do, without a Close frame";
    assert!(told.text("text").contains(doubt), "{}", told.verdict);
    let told = why(&url, &["--max-size", "5001"]);
    told.is_diagnosis(19, "MAX_MESSAGE");
    assert_eq!(told.verdict["limits"]["message"], 5000);
}

#[test]
fn a_person_sees_each_phase_and_each_line() {
    let server = RealServer::start(&[]);
    let parts = [
        "/probe at 127.0.0.1:",
        "\nphases       TCP ",
        " ms  █",
        "             upgrade ",
        "\nanswer       HTTP/1.1 101 Switching Protocols\n",
        "\nchanged      nothing, in request and answer\n",
        "which is this client: nothing is between; without TLS",
        "\nsubprotocol  none offered",
        "\nPing frames  answered after ",
        "those of the server arrive",
        "\ntext         passes\n",
        "\nfragments    passes\n",
        "\nmessage      65536 bytes pass, and 65537 do not: closed by the server (1009: ",
        "\nbinary       not taken: closed by the server (1003: ",
        "\ncompression  permessage-deflate is agreed on when offered, and a compressed text passes\n",
        "\nconnected, and nothing on the way is broken\nsilence was not tried: client idle ws://",
        "/probe does that\n",
    ];
    assert_shown(&(server.url() + "/probe"), &[], 0, &parts);
}

#[test]
fn a_server_without_room_for_a_further_connection_is_not_blamed_on_compression() {
    for (status, sizes) in [("503 Service Unavailable", "0"), ("429 Too Many Requests", "30")] {
        let (server, url) = Fake::start();
        thread::spawn(move || {
            answer_frames(server.accept_raw().0);
            loop {
                server.refuse(status, "Too many connections.");
            }
        });
        let told = why(&url, &["--max-size", sizes]);
        assert_eq!((told.status, told.rows()), (Some(0), vec![]), "{}", told.verdict);
        assert_eq!(told.verdict["limits"]["compression"], serde_json::Value::Null);
        let text = told.text("text");
        let room =
            "but there was no room for a further connection, and what needs one was not tried";
        assert_eq!(text.matches(room).count(), 1, "{text}");
        assert!(text.contains(status) && !text.contains("compression"), "{text}");
    }
}

#[test]
fn a_server_that_has_room_again_soon_is_tried_to_the_end() {
    let (server, url) = Fake::start();
    let serving = thread::spawn(move || {
        answer_frames(server.accept_raw().0);
        server.refuse("503 Service Unavailable", "Too many connections.");
        answer_frames(server.accept_raw().0);
    });
    let told = why(&url, &["--max-size", "0"]);
    serving.join().unwrap();
    assert_eq!(told.verdict["limits"]["compression"], "declined", "{}", told.verdict);
    assert!(!told.text("text").contains("no room"), "{}", told.verdict);
}

/// `client why` at a balancer with these servers, whose connections go to each in turn: the
/// server lives (`None`), or its answer; one with an empty status never answers.
fn balanced(servers: &'static [Option<(&'static str, &'static str)>], args: &[&str]) -> Told {
    let (balancer, url) = Fake::start();
    thread::spawn(move || {
        let mut held = Vec::new();
        for server in servers.iter().cycle() {
            match server {
                None => {
                    let (stream, _) = balancer.accept_raw();
                    thread::spawn(|| answer_frames(stream));
                }
                Some(("", _)) => held.push(balancer.accept_head()),
                Some((status, body)) => balancer.refuse(status, body),
            }
        }
    });
    why(&url, args)
}

/// What HAProxy answers by itself if the server behind it is dead.
const HAPROXY: (&str, &str) = (
    "503 Service Unavailable",
    "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n",
);

#[test]
fn a_dead_server_behind_a_balancer_is_told() {
    for servers in [&[None, Some(HAPROXY)][..], &[None, Some(HAPROXY), None, None]] {
        let told = balanced(servers, &["--max-size", "0"]);
        told.is_diagnosis(26, "of the backend");
        let text = told.text("text");
        let counts = format!("connected, but 2 of {} connections failed: ", servers.len() + 2);
        assert!(text.starts_with(&counts), "{text}");
        for part in ["503 Service Unavailable", "one of several servers behind the address seems"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("no room") && !text.contains("nothing on the way"), "{text}");
    }
}

#[test]
fn a_server_behind_a_balancer_that_hangs_is_not_blamed_on_compression() {
    let told = balanced(&[None, Some(("", ""))], &["--max-size", "0"]);
    told.is_diagnosis(35, "the server behind it");
    let text = told.text("text");
    assert!(
        text.contains("only some connections are answered: 2 of 4 connections failed"),
        "{text}"
    );
    assert!(text.contains("no answer to the request for the upgrade"), "{text}");
    assert!(!text.contains("compression"), "{text}");
}

#[test]
fn a_failed_connection_that_nothing_explains_is_doubtful() {
    // One failure, and then all that is asked for.
    let (server, url) = Fake::start();
    thread::spawn(move || {
        for number in 0.. {
            if number == 1 {
                server.refuse(HAPROXY.0, HAPROXY.1);
            } else {
                let (stream, _) = server.accept_raw();
                thread::spawn(|| answer_frames(stream));
            }
        }
    });
    let told = why(&url, &["--max-size", "0"]);
    assert_eq!((told.status, told.rows()), (Some(3), vec![26]), "{}", told.verdict);
    let text = told.text("text");
    assert!(text.contains("1 of ") && text.contains(" connections failed: "), "{text}");

    // Nothing but failures from the second one on.
    let (server, url) = Fake::start();
    thread::spawn(move || {
        answer_frames(server.accept_raw().0);
        loop {
            server.refuse(HAPROXY.0, HAPROXY.1);
        }
    });
    let told = why(&url, &["--max-size", "0"]);
    assert_eq!((told.status, told.rows()), (Some(3), vec![26]), "{}", told.verdict);
    assert!(told.text("text").contains("the first one alone was made"), "{}", told.verdict);
}

#[test]
fn an_offer_of_compression_that_no_connection_survives_is_blamed() {
    let (server, url) = Fake::start();
    thread::spawn(move || {
        loop {
            let (mut stream, head) = server.accept_head();
            if head.contains("permessage-deflate") {
                continue;
            }
            stream.write_all(switching(&head, "").as_bytes()).unwrap();
            thread::spawn(|| answer_frames(stream));
        }
    });
    let told = why(&url, &["--max-size", "0"]);
    assert_eq!(told.status, Some(1), "{}", told.verdict);
    let text = told.text("text");
    assert!(text.contains("with compression offered there is no connection: "), "{text}");
    assert!(!text.contains("connections failed"), "{text}");
}
