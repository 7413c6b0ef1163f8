//! Pages in the style of the tutorials whose servers this one can replace. They connect to `/`, so
//! `DEFAULT_SERVICE` chooses which service they reach.

use std::fs;
use std::path::Path;

use crate::browser::Browser;
use crate::support::TestServer;

/// Opens a page of a tutorial from its file, with another port in it, as its user would.
#[track_caller]
fn open(browser: &mut Browser, dir: &Path, page: &str, ports: (&str, u16)) {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/browser/pages");
    let text = fs::read_to_string(Path::new(source).join(page)).unwrap();
    let (from, to) = ports;
    assert!(text.contains(from), "{page} names {from}");
    let file = dir.join(page);
    fs::write(&file, text.replace(from, &to.to_string())).unwrap();
    browser.open(&format!("file://{}", file.display()));
}

#[test]
#[ignore = "needs Chromium"]
fn the_echo_page_connects_sends_gets_its_text_back_and_disconnects() {
    let server =
        TestServer::builder().env("LISTEN", "localhost:0").env("DEFAULT_SERVICE", "/echo").start();
    let mut browser = Browser::start();
    open(&mut browser, server.dir(), "echo.html", ("7777", server.address().port()));
    browser.wait_for_text("#events", "connected");
    browser.fill("#message", "hello");
    browser.click("#send");
    browser.wait_for_text("#events", "received: [RE]: hello");
    browser.click("#disconnect");
    browser.wait_for_text("#events", "disconnected 1005");
    assert!(!browser.text("#events").contains("error"));
}

#[test]
#[ignore = "needs Chromium and certutil"]
fn the_page_with_a_form_connects_plain_and_secure_with_and_without_a_subprotocol() {
    let server = TestServer::builder().secure().env("DEFAULT_SERVICE", "/mirror").start();
    let mut browser = Browser::trusting(&server.tls_path("ca.pem"));
    open(&mut browser, server.dir(), "form.html", ("10080", server.address().port()));
    let secure = server.secure_address().port().to_string();
    let plain = server.address().port().to_string();
    for (scheme, port, protocol) in
        [("ws://", &plain, ""), ("wss://", &secure, ""), ("wss://", &secure, "chat")]
    {
        browser.choose("#scheme", scheme);
        browser.fill("#port", port);
        browser.fill("#protocol", protocol);
        browser.eval("document.getElementById('events').innerText = ''");
        browser.click("#connect");
        browser.wait_for_text("#events", &format!("open {protocol}"));
        let text = format!("hello over {scheme}");
        browser.fill("#message", &text);
        browser.click("#send");
        browser.wait_for_text("#events", &format!("message {text}"));
    }
    assert!(!browser.text("#events").contains("error"));
}
