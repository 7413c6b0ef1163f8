//! The page as it loads: from one file, with nothing from elsewhere.

use serde_json::Value;

use crate::browser::Browser;
use crate::support::{TestServer, eventually};

/// The addresses that the page asked for, over HTTP and over WebSocket, those left out that the
/// browser refused to ask.
fn asked(browser: &mut Browser) -> Vec<String> {
    let failures = browser.events("Network.loadingFailed").into_iter();
    let refused: Vec<_> = failures
        .filter(|failure| failure["blockedReason"] == "csp")
        .map(|failure| failure["requestId"].clone())
        .collect();
    let requests = browser.events("Network.requestWillBeSent").into_iter();
    let sockets = browser.events("Network.webSocketCreated").into_iter();
    let url = |event: Value| -> Option<String> {
        let url = event["request"]["url"].as_str().or(event["url"].as_str())?;
        (!url.starts_with("data:") && !refused.contains(&event["requestId"]))
            .then(|| url.to_owned())
    };
    requests.chain(sockets).filter_map(url).collect()
}

/// The addresses that the page has to request.
fn needed(server: &TestServer) -> [String; 2] {
    let address = server.address();
    [format!("http://{address}/"), format!("ws://{address}/status")]
}

#[test]
#[ignore = "needs Chromium"]
fn the_page_loads_without_a_complaint_and_asks_nobody_but_its_server() {
    let (server, mut browser) = Browser::with_server();
    browser.wait_for_text("#server-live", "Live");
    assert_eq!(asked(&mut browser), needed(&server));
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
#[ignore = "needs Chromium"]
fn injected_scripts_styles_and_requests_are_refused() {
    let (server, mut browser) = Browser::with_server();
    browser.eval(
        "window.ran = 0;
         const add = (name, set) => document.body.append(Object.assign(document.createElement(name), set));
         add('script', { textContent: 'window.ran += 1' });
         add('style', { textContent: 'body { display: none }' });
         add('img', { src: '/healthz' });
         document.body.insertAdjacentHTML('beforeend', '<img src=data:, onerror=\"window.ran += 1\">');
         fetch('http://127.0.0.1:1/').catch(() => 'refused')",
    );
    for directive in ["script-src", "style-src", "img-src", "connect-src"] {
        eventually(directive, || {
            browser.complaints().iter().any(|complaint| complaint.contains(directive)).then_some(())
        });
    }
    assert_eq!(browser.eval("window.ran"), 0);
    assert_eq!(browser.eval("getComputedStyle(document.body).display"), "block");
    eventually("nothing further is asked for", || {
        (asked(&mut browser) == needed(&server)).then_some(())
    });
}

#[test]
#[ignore = "needs Chromium"]
fn the_form_begins_with_the_server_that_the_page_is_from() {
    let (server, mut browser) = Browser::with_server();
    let form = "['scheme', 'host', 'port', 'path', 'protocol', 'message']
        .map((id) => document.getElementById(id).value)";
    let port = server.address().port().to_string();
    let ping = r#"{"client_name": "Browser", "message": "Ping!"}"#;
    assert_eq!(browser.eval(form), serde_json::json!(["ws", "127.0.0.1", port, "/", "", ping]));
    assert_eq!(browser.text("#address"), format!("ws://{}/", server.address()));
    browser.open(&format!("http://localhost:{port}/?path=/echo"));
    let expected = serde_json::json!(["ws", "localhost", port, "/echo", "", "Hello!"]);
    assert_eq!(browser.eval(form), expected);
}

#[test]
#[ignore = "needs Chromium"]
fn a_whole_address_in_the_field_of_the_host_is_taken_apart() {
    let (_server, mut browser) = Browser::with_server();
    browser.fill("#host", "wss://example.com:10443/chat?room=1");
    browser.press_tab();
    assert_eq!(browser.text("#address"), "wss://example.com:10443/chat?room=1");
    browser.fill("#host", "http://[::1]:8765");
    browser.press_tab();
    assert_eq!(browser.text("#address"), "ws://[::1]:8765/");
    browser.fill("#host", "::1");
    assert_eq!(browser.text("#address"), "ws://[::1]:8765/");
}

#[test]
#[ignore = "needs Chromium"]
fn the_address_of_the_page_carries_the_form() {
    let (server, mut browser) = Browser::with_server();
    assert_eq!(browser.eval("location.search"), "");
    browser.fill("#path", "/echo");
    assert_eq!(browser.eval("location.search"), "?path=/echo");
    browser.choose("#scheme", "wss");
    browser.fill("#host", "example.com");
    browser.fill("#port", "10443");
    browser.fill("#path", "/chat?room=a&b=ü");
    browser.fill("#protocol", "chat");
    let address = browser.text("#address");
    let link = browser.eval("location.href").as_str().unwrap().to_owned();

    let mut other = Browser::start();
    other.open(&link);
    assert_eq!(other.text("#address"), address);
    assert_eq!(other.eval("document.getElementById('protocol').value"), "chat");
    // Nonsense in the address of the page does no harm.
    other.open(&format!("http://{}/?scheme=gopher&path=/total", server.address()));
    assert_eq!(other.text("#address"), format!("ws://{}/total", server.address()));
}

#[test]
#[ignore = "needs Chromium"]
fn every_service_of_the_server_can_be_chosen_with_a_word_on_what_it_does() {
    let (server, mut browser) = Browser::with_server();
    let status: Value = serde_json::from_str(&server.connect_to("/status").ask("?")).unwrap();
    let services = status["services"].as_array().unwrap();
    assert!(services.len() >= 6, "{services:?}");
    for service in services {
        let path = service["path"].as_str().unwrap();
        browser.choose("#service", path);
        assert_eq!(browser.eval("document.getElementById('path').value"), path);
        let label = browser.eval("document.getElementById('service').selectedOptions[0].text");
        assert!(label.as_str().unwrap().starts_with(&format!("{path} – ")), "{label}");
    }
    // The other way round: a path that is typed shows its service.
    let chosen = "document.getElementById('service').value";
    browser.fill("#path", "/total");
    assert_eq!(browser.eval(chosen), "/total");
    browser.fill("#path", "/else");
    assert_eq!(browser.eval(chosen), "");
}
