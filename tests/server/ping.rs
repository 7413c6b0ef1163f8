//! The ping/pong service: its messages, their replies, and their lines in the log.

use std::fs;
use std::time::Instant;

use chrono::NaiveDateTime;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::support::{TestServer, first, frame, ping_text, rounds, seed, wait_until};

#[test]
fn a_ping_is_answered_with_pong_and_recorded_in_the_documented_line() {
    let server = TestServer::start();
    let mut client = server.raw();
    let text = br#"{"client_name": "Client-300", "message": "Ping!"}"#;
    client.send(&frame(first::TEXT, text));
    let reply = client.frame();
    assert_eq!((reply.first, reply.payload.as_slice()), (0x81, b"Pong!".as_slice()));

    let log = fs::read(server.log_path()).unwrap();
    let (stamp, rest) = log.split_at("[19-12-2023 12:43:12]".len());
    let stamp = std::str::from_utf8(stamp).unwrap();
    let at = NaiveDateTime::parse_from_str(stamp, "[%d-%m-%Y %H:%M:%S]").unwrap();
    assert_eq!(at.format("[%d-%m-%Y %H:%M:%S]").to_string(), stamp);
    assert_eq!(rest, b" Recieved from client (\"Client-300\"): Ping!\n");
}

#[test]
fn literal_double_quotes_around_a_name_are_dropped() {
    let server = TestServer::start();
    let mut client = server.connect();
    assert_eq!(client.ping("\"Client-100\"", "\"Ping!\""), "Pong!");
    let log = server.log_text();
    assert!(log.ends_with("] Recieved from client (\"Client-100\"): \\\"Ping!\\\"\n"), "{log}");
}

#[test]
fn control_characters_in_names_and_messages_are_escaped_in_the_log() {
    let server = TestServer::start();
    let mut client = server.connect();
    let hostile = [
        ("a\nb", r"a\nb"),
        ("a\r\nb", r"a\r\nb"),
        ("\u{1b}[2J\u{1b}]0;title\u{7}", r"\u001b[2J\u001b]0;title\u0007"),
        ("a\u{2028}b\u{2029}c\u{85}d", r"a\u2028b\u2029c\u0085d"),
        ("\u{9b}31m", r"\u009b31m"),
        ("a\0b\tc\u{7f}", r"a\u0000b\tc\u007f"),
        (r#"x"): Ping!"#, r#"x\"): Ping!"#),
        (r"C:\dir", r"C:\\dir"),
        ("日本語 é ✓", "日本語 é ✓"),
        ("", ""),
    ];
    for (text, _) in hostile {
        assert_eq!(client.ping(text, "m"), "Pong!", "{text:?}");
        assert_eq!(client.ping("n", text), "Pong!", "{text:?}");
    }
    let log = server.log_text();
    let mut lines = log.split('\n').map(|line| line.get(22..).unwrap_or_default());
    for (_, shown) in hostile {
        assert_eq!(lines.next(), Some(&*format!("Recieved from client (\"{shown}\"): m")));
        assert_eq!(lines.next(), Some(&*format!("Recieved from client (\"n\"): {shown}")));
    }
    assert_eq!(lines.collect::<Vec<_>>(), [""]);
}

#[test]
fn invisible_characters_of_a_ping_are_escaped_in_the_log() {
    let server = TestServer::start();
    let mut client = server.connect();
    assert_eq!(client.ping("a\u{202e}b\u{200b}", "\u{feff}c\u{2066}\u{e0041}"), "Pong!");
    let line = r#"("a\u202eb\u200b"): \ufeffc\u2066\udb40\udc41"#;
    assert!(server.log_text().ends_with(&format!("{line}\n")), "{}", server.log_text());
    wait_until("stdout shows it too", || {
        String::from_utf8(server.stdout()).unwrap().contains(line)
    });
}

#[test]
fn the_reply_is_pong_whatever_the_message_says() {
    let server = TestServer::start();
    let mut client = server.connect();
    let long = "x".repeat(60_000);
    let messages = ["", "Pong!", "Error: no", "hello", "日本語", "{\"a\": 1}", &long];
    for message in messages {
        assert_eq!(client.ping("Client-300", message), "Pong!");
    }
    assert_eq!(server.log_text().lines().count(), messages.len());
}

#[test]
fn unknown_fields_order_and_blanks_do_not_matter() {
    let server = TestServer::start();
    let mut client = server.connect();
    let text = " {\"x\":[1,{}],\n\"message\":\"Ping!\" , \"client_name\":\"\\u0041\"} ";
    assert_eq!(client.ask(text), "Pong!");
    assert_eq!(server.log().pings(), [("A", "Ping!")]);
}

#[test]
fn an_invalid_ping_gets_an_error_that_says_what_was_expected() {
    let server = TestServer::start();
    let mut client = server.connect();
    let deep = format!("{{\"x\": {}", "[".repeat(60_000));
    for text in [
        &deep,
        "",
        "hello",
        "Ping!",
        "5",
        "null",
        r#""text""#,
        r#"["Client-100", "Ping!"]"#,
        "{}",
        r#"{"client_name": "Client-100"}"#,
        r#"{"message": "Ping!"}"#,
        r#"{"client_name": 100, "message": "Ping!"}"#,
        r#"{"client_name": "Client-100", "message": null}"#,
        r#"{"client_name": "Client-100", "message": ["Ping!"]}"#,
        r#"{"client_name": "Client-100", "message": "Ping!""#,
        r#"{"client_name": "Client-100", "message": "Ping!"} {}"#,
    ] {
        let reply = client.ask(text);
        assert!(reply.starts_with("Error: "), "{text}: {reply}");
        assert!(reply.contains("client_name") && reply.contains("message"), "{text}: {reply}");
    }
    assert_eq!(server.log_text(), "");
    assert_eq!(client.ping("Client-100", "Ping!"), "Pong!");
    assert_eq!(server.log().pings(), [("Client-100", "Ping!")]);
}

#[test]
fn a_text_is_a_ping_exactly_when_a_json_parser_says_so() {
    let mut rng = StdRng::seed_from_u64(seed());
    let server = TestServer::start();
    let mut client = server.connect();
    let mut expected = Vec::new();
    let pieces =
        ["\"", "\\", "\\u0041", "\n", "\t", " ", ",", "{", "}", ":", "\"x\": 1, ", "é", "\u{85}"];
    for _ in 0..rounds(2000) {
        let mut text = ping_text("Client-300", "Ping!");
        if rng.random() {
            text = text.replace(": ", ":").replace(", ", ",");
        }
        for _ in 0..rng.random_range(0..3) {
            let at = rng.random_range(0..=text.len());
            match rng.random_range(0..3) {
                _ if !text.is_char_boundary(at) => {}
                0 => text.truncate(at),
                1 if at < text.len() => drop(text.remove(at)),
                _ => text.insert_str(at, pieces[rng.random_range(0..pieces.len())]),
            }
        }
        let json = serde_json::from_str::<serde_json::Value>(&text).unwrap_or_default();
        let fields = ["client_name", "message"].map(|name| json.get(name)?.as_str());
        let reply = client.ask(&text);
        if let [Some(name), Some(message)] = fields {
            assert_eq!(reply, "Pong!", "{text}");
            expected.push((name.to_owned(), message.to_owned()));
        } else {
            assert!(reply.starts_with("Error: "), "{text}: {reply}");
        }
    }
    // The log has the escapes of JSON, so a JSON parser reads it back.
    let shown = server.log_text();
    assert_eq!(shown.lines().count(), expected.len());
    for (line, (name, message)) in shown.lines().zip(expected) {
        let escaped = [name, message].map(|text| {
            let text = serde_json::Value::from(text).to_string();
            text[1..text.len() - 1].replace('\u{85}', "\\u0085")
        });
        let [name, message] = escaped;
        let rest = format!(" Recieved from client (\"{name}\"): {message}");
        assert_eq!(&line[21..], rest);
    }
}

#[test]
fn many_invalid_messages_make_one_warning() {
    let server = TestServer::builder().env("WORKERS", "4").start();
    let mut clients = [(); 4].map(|()| server.connect());
    let begun = Instant::now();
    for _ in 0..25 {
        for client in &mut clients {
            assert!(client.ask("hello").starts_with("Error: "));
        }
    }
    // A later event shows that no second warning came before it.
    server.connect().close();
    server.event("closed by the client");
    // One warning every 5 s; a busy machine may take longer than that.
    let most = 1 + begun.elapsed().as_secs() as usize / 5;
    let warnings = server.events("WARN");
    assert!((1..=most).contains(&warnings.len()), "{warnings:#?}");
    assert!(warnings[0].contains("invalid message"), "{warnings:?}");
}

#[test]
fn a_warning_about_a_message_with_control_characters_is_one_escaped_line() {
    let server = TestServer::start();
    let reply = server.connect().ask("{\"client_name\": \"a\", \"\\u001b[2J\\nx\": 1, \u{1b}[2J");
    assert!(reply.starts_with("Error: "), "{reply}");
    let warning = server.event("invalid message");
    assert!(!warning.contains('\u{1b}'), "{warning:?}");
}
