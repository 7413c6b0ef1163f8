//! The connection that a person opens: form, messages, log of events.

use std::net::TcpStream;

use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, WebSocket};

use crate::browser::Browser;
use crate::fake::FakeServer;
use crate::support::{TestServer, own_address, wait_until};

/// Connects to a fake server.
#[track_caller]
fn connect_to(browser: &mut Browser, fake: &FakeServer) {
    browser.fill("#port", &fake.address.port().to_string());
    browser.click("#connect");
}

#[test]
#[ignore = "needs Chromium"]
fn a_text_is_echoed_and_every_event_is_in_the_log_with_its_time() {
    let (server, mut browser) = Browser::with_server();
    assert_eq!(browser.eval("document.getElementById('send').disabled"), true);
    browser.connect("/echo");
    browser.fill("#message", "Hello, 世界 👩‍💻!");
    browser.click("#send");
    assert_eq!(browser.wait_for_entry("received", ""), "[RE]: Hello, 世界 👩‍💻!");
    browser.send("with Enter");
    browser.wait_for_entry("received", "[RE]: with Enter");
    browser.click("#connect");
    let ending = browser.wait_for_entry("disconnected", "");
    assert!(ending.starts_with("1000, normal closure"), "{ending}");
    assert!(ending.ends_with("(clean)"), "{ending}");
    browser.wait_for_text("#talk-state", "Disconnected");
    let kinds =
        browser.eval("[...document.querySelectorAll('.kind')].map((kind) => kind.textContent)");
    let expected = ["connecting", "connected", "sending", "received", "sending", "received"];
    assert_eq!(kinds.as_array().unwrap()[..6], expected.map(serde_json::Value::from));
    let times = "[...document.querySelectorAll('.entry time')]
        .every((time) => /^\\d\\d:\\d\\d:\\d\\d\\.\\d\\d\\d$/.test(time.textContent))";
    assert_eq!(browser.eval(times), true);
    server.event("closed by the client (1000)");
}

#[test]
#[ignore = "needs Chromium"]
fn a_ping_by_hand_gets_its_pong_and_its_line() {
    let (server, mut browser) = Browser::with_server();
    browser.connect("/");
    // The focus is in the field of the message.
    browser.press_enter();
    assert_eq!(browser.wait_for_entry("received", ""), "Pong!");
    assert_eq!(server.log().pings(), [("Browser", "Ping!")]);
}

#[test]
#[ignore = "needs Chromium"]
fn a_subprotocol_is_agreed_on_and_a_wrong_one_explained() {
    let (_server, mut browser) = Browser::with_server();
    browser.fill("#protocol", "chat, superchat");
    browser.connect("/echo");
    browser.wait_for_entry("connected", "subprotocol chat");
    browser.click("#connect");
    browser.wait_for_text("#talk-state", "Disconnected");
    browser.fill("#protocol", "a@b");
    browser.click("#connect");
    browser.wait_for_entry("error", "a@b");
    browser.wait_for_text("#talk-state", "Disconnected");
}

#[test]
#[ignore = "needs Chromium"]
fn the_page_says_whether_messages_are_compressed() {
    let long = ["compressed"; 50].join(" ");
    for (setting, told) in [("on", "/mirror, compressed"), ("off", "/mirror, not compressed")] {
        let server = TestServer::builder().env("COMPRESSION", setting).start();
        let mut browser = Browser::at(&server);
        browser.connect("/mirror");
        let entry = browser.wait_for_entry("connected", "");
        assert!(entry.ends_with(told), "{entry}");
        browser.fill("#message", &long);
        browser.click("#send");
        assert_eq!(browser.wait_for_entry("received", ""), long);
        for direction in ["received", "sent"] {
            let name = |of| format!("websockets_{of}_bytes_total{{direction=\"{direction}\"}}");
            let figures = || {
                let metrics = server.metrics();
                (metrics.get(&name("compressed")), metrics.get(&name("uncompressed")))
            };
            // The page asks for the state of the server as well.
            if setting == "on" {
                wait_until("the message is counted", || figures().1 >= long.len() as f64);
            }
            let (wire, plain) = figures();
            if setting == "on" {
                assert!(wire < plain, "{direction}: {wire} of {plain}");
            } else {
                assert_eq!((wire, plain), (0.0, 0.0), "{direction}");
            }
        }
    }
}

#[test]
#[ignore = "needs Chromium"]
fn failed_connections_are_explained_on_the_page() {
    let (server, mut browser) = Browser::with_server();
    browser.fill("#host", &own_address().ip().to_string());
    browser.click("#connect");
    browser.wait_for_entry("error", "nothing listens at this host and port");
    browser.wait_for_text("#talk-state", "No connection");
    browser.fill("#host", "a/b");
    browser.click("#connect");
    browser.wait_for_entry("error", "is no address of a server");
    browser.fill("#host", "127.0.0.1");
    browser.choose("#scheme", "wss");
    browser.click("#connect");
    browser.wait_for_entry("error", "does not trust the certificate");
    let link = browser.eval("document.querySelector('.entry a').href");
    assert_eq!(link, format!("https://{}/", server.address()));
}

#[test]
#[ignore = "needs Chromium"]
fn over_https_the_form_begins_with_wss_and_warns_of_mixed_content() {
    let server = TestServer::start();
    let mut browser = Browser::start();
    browser.open_as("https://server.test/", &server.get("/").body);
    assert_eq!(browser.text("#address"), "wss://server.test/");
    assert_eq!(browser.text("#talk-hint"), "");
    browser.choose("#scheme", "ws");
    browser.wait_for_text("#talk-hint", "mixed content");
    browser.click("#connect");
    browser.wait_for_entry("error", "mixed content");
    browser.wait_for_text("#talk-state", "Disconnected");
    browser.click("#ping-start");
    browser.wait_for_text("#ping-hint", "mixed content");
    assert_eq!(browser.text("#ping-start"), "Start");
}

#[test]
#[ignore = "needs Chromium"]
fn a_server_that_stops_says_so_and_one_that_is_killed_does_not() {
    let mut server = TestServer::start();
    let mut browser = Browser::at(&server);
    browser.connect("/echo");
    server.stop();
    let ending = browser.wait_for_entry("disconnected", "1001, going away: the server stops");
    assert!(ending.ends_with("(clean)"), "{ending}");

    let mut server = TestServer::start();
    browser.open(&format!("http://{}/", server.address()));
    browser.connect("/echo");
    server.kill();
    let ending = browser.wait_for_entry("disconnected", "1006, abnormal closure");
    assert!(ending.ends_with("(not clean)"), "{ending}");
}

#[test]
#[ignore = "needs Chromium"]
fn a_reason_from_a_stranger_is_shown_as_text() {
    fn end(mut socket: WebSocket<TcpStream>) {
        let reason = "<b>go</b> \u{202e}away".into();
        let _ = socket.close(Some(CloseFrame { code: 4001.into(), reason }));
        while socket.read().is_ok() {}
    }
    let (_server, mut browser) = Browser::with_server();
    connect_to(&mut browser, &FakeServer::start(end));
    let ending = browser.wait_for_entry("disconnected", "4001, private");
    assert!(ending.contains(r"it says: <b>go</b> \u202eaway"), "{ending}");
    assert_eq!(browser.eval("document.querySelector('#log b')"), serde_json::Value::Null);
}

#[test]
#[ignore = "needs Chromium"]
fn binary_messages_are_shown_as_length_and_beginning() {
    fn send(mut socket: WebSocket<TcpStream>) {
        let bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
        let _ = socket.send(Message::binary(bytes));
        while socket.read().is_ok() {}
    }
    let (_server, mut browser) = Browser::with_server();
    connect_to(&mut browser, &FakeServer::start(send));
    let shown = browser.wait_for_entry("received", "");
    assert!(shown.starts_with("5,000 bytes, binary: 00 01 02 "), "{shown}");
    assert!(shown.ends_with("1e 1f …"), "{shown}");
}

#[test]
#[ignore = "needs Chromium"]
fn a_flood_of_long_messages_leaves_the_newest_thousand_shortened() {
    fn flood(mut socket: WebSocket<TcpStream>) {
        for number in 0..1500 {
            let text =
                format!("message {number} {}", "x".repeat(if number < 1490 { 0 } else { 5000 }));
            let _ = socket.send(Message::text(text));
        }
        while socket.read().is_ok() {}
    }
    let (_server, mut browser) = Browser::with_server();
    connect_to(&mut browser, &FakeServer::start(flood));
    let last = browser.wait_for_entry("received", "message 1499 ");
    assert!(last.len() < 1100 && last.ends_with("(5,013 characters in all)"), "{last}");
    assert_eq!(browser.eval("document.getElementById('log').childElementCount"), 1000);
    // The log follows the newest entry, and stays where somebody has scrolled to.
    let rest = "(({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight)(document.getElementById('log'))";
    browser.wait_for(&format!("{rest} < 2"));
    browser.eval("document.getElementById('log').scrollTop = 100");
    browser.click("#connect");
    browser.wait_for_entry("disconnected", "1000");
    assert!(browser.eval(rest).as_f64().unwrap() > 1000.0);
}

#[test]
#[ignore = "needs Chromium"]
fn the_log_is_copied_with_and_without_a_clipboard_and_cleared() {
    let server = TestServer::start();
    // Over plain HTTP from another name, a page has no clipboard of its own.
    let mut browser = Browser::with_flags(&["--host-resolver-rules=MAP server.test 127.0.0.1"]);
    let port = server.address().port();
    for (host, is_secure) in [("server.test", false), ("127.0.0.1", true)] {
        browser.open(&format!("http://{host}:{port}/?path=/echo"));
        assert_eq!(browser.eval("isSecureContext"), is_secure);
        browser.connect("/echo");
        browser.send(&format!("copied from {host}"));
        browser.wait_for_entry("received", host);
        browser.click("#log-copy");
        browser.wait_for_text("#log-note", "Copied");
        // A textarea keeps the line breaks of what is pasted.
        browser.eval("document.body.append(Object.assign(document.createElement('textarea'), { id: 'paste' }))");
        browser.click("#paste");
        browser.paste();
        let pasted = browser.wait_for("document.getElementById('paste').value");
        let lines: Vec<_> = pasted.as_str().unwrap().lines().collect();
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(lines[3].ends_with(&format!("  received  [RE]: copied from {host}")), "{lines:?}");
        browser.click("#log-clear");
        assert_eq!(browser.text("#log"), "");
    }
}

#[test]
#[ignore = "needs Chromium"]
fn the_message_is_suggested_by_path_but_never_overwritten() {
    let (_server, mut browser) = Browser::with_server();
    let message = "document.getElementById('message').value";
    for (path, suggestion) in [("/total", "1"), ("/echo", "Hello!"), ("/mirror", "Hello!")] {
        browser.fill("#path", path);
        assert_eq!(browser.eval(message), suggestion);
    }
    browser.fill("#message", "mine");
    browser.fill("#path", "/total");
    assert_eq!(browser.eval(message), "mine");
    browser.fill("#message", "");
    browser.fill("#path", "/echo");
    assert_eq!(browser.eval(message), "Hello!");
}

#[test]
#[ignore = "needs Chromium"]
fn an_answer_that_is_an_error_looks_like_one() {
    let (_server, mut browser) = Browser::with_server();
    browser.connect("/total");
    browser.send("forty-two");
    let answer = browser.wait_for_entry("refused", "");
    assert!(answer.starts_with("Error: "), "{answer}");
    browser.send("42");
    browser.wait_for_entry("received", "total=42");
    let colours = browser.eval(
        "['refused', 'received', 'error'].map((kind) => {
            const sample = document.querySelector(`.kind-${kind} + .text`)
                ?? Object.assign(document.body.appendChild(document.createElement('span')), { className: `kind-${kind}` });
            return getComputedStyle(sample).color;
        })",
    );
    assert_eq!(colours[0], colours[2], "as errors are");
    assert_ne!(colours[0], colours[1], "not as other answers are");
}

#[test]
#[ignore = "needs Chromium"]
fn a_port_that_browsers_block_is_told_when_it_is_typed_and_when_it_is_used() {
    let (_server, mut browser) = Browser::with_server();
    browser.fill("#port", "10080");
    browser.wait_for_text("#talk-hint", "Browsers block port 10080");
    browser.click("#connect");
    browser.wait_for_entry("error", "Browsers block port 10080");
    browser.wait_for_text("#talk-state", "No connection");
    browser.click("#ping-start");
    browser.wait_for_text("#ping-hint", "Browsers block port 10080");
    browser.fill("#port", "10081");
    assert_eq!(browser.text("#talk-hint"), "");
}
