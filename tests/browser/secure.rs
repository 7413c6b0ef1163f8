//! wss:// from a browser that trusts the authority, and from one that does not.

use crate::browser::Browser;
use crate::support::TestServer;

/// Chooses wss:// at the secure port of a server, and presses Connect.
#[track_caller]
fn connect_securely(browser: &mut Browser, server: &TestServer) {
    browser.choose("#scheme", "wss");
    browser.fill("#host", "localhost");
    browser.fill("#port", &server.secure_address().port().to_string());
    browser.fill("#path", "/echo");
    browser.click("#connect");
}

#[track_caller]
fn assert_echoes(browser: &mut Browser) {
    browser.wait_for_text("#talk-state", "Connected");
    browser.fill("#message", "secure");
    browser.click("#send");
    assert_eq!(browser.wait_for_entry("received", ""), "[RE]: secure");
}

#[test]
#[ignore = "needs Chromium and certutil"]
fn a_browser_that_trusts_the_authority_takes_page_and_connection() {
    let server = TestServer::builder().secure().start();
    let port = server.secure_address().port();
    let mut browser = Browser::trusting(&server.tls_path("ca.pem"));
    for host in ["localhost", "127.0.0.1"] {
        browser.open(&format!("https://{host}:{port}/"));
        assert_eq!(browser.eval("document.getElementById('scheme').value"), "wss");
        assert_eq!(browser.eval("document.getElementById('port').value"), port.to_string());
        browser.wait_for_text("#server-live", "Live");
        browser.fill("#path", "/echo");
        browser.click("#connect");
        assert_echoes(&mut browser);
        assert_eq!(browser.complaints(), [""; 0]);
    }
    // The same from a page over plain HTTP.
    browser.open(&format!("http://{}/", server.address()));
    connect_securely(&mut browser, &server);
    assert_echoes(&mut browser);
}

#[test]
#[ignore = "needs Chromium and certutil"]
fn a_browser_that_does_not_trust_it_is_told_what_to_do() {
    let server = TestServer::builder().secure().start();
    let stranger = TestServer::builder().secure().start();
    let mut browser = Browser::trusting(&stranger.tls_path("ca.pem"));
    browser.open(&format!("http://{}/", server.address()));
    connect_securely(&mut browser, &server);
    browser.wait_for_entry("error", "does not trust the certificate");
    let link = browser.eval("document.querySelector('.entry a').href");
    assert_eq!(link, format!("https://localhost:{}/", server.secure_address().port()));
    server.event("TLS handshake failed: the client does not trust the certificate (");
}
