//! `--location`: redirects that are followed, and that are not.

use super::{client, client_with};
use crate::certificates::Authority;
use crate::client::{Client, command};
use crate::fake::Fake;
use crate::handshake::cause;
use crate::secure::Secure;

/// Answers the next request with a redirect; returns the request.
fn redirect(server: &Fake, status: &str, location: &str) -> String {
    server.refuse_with(status, &format!("Location: {location}\r\n"), "")
}

fn path(head: &str) -> &str {
    head.split(' ').nth(1).unwrap()
}

#[test]
fn a_chain_of_redirects_is_followed_and_told_once() {
    let ((first, url), (second, other)) = (Fake::start(), Fake::start());
    let start = format!("{url}/a/b?c");
    let client = client(&[&start, "-L"]);
    for _ in 0..2 {
        assert_eq!(path(&redirect(&first, "301 Moved Permanently", "../x?y#z")), "/a/b?c");
        let absolute = other.replace("ws", "http") + "/end";
        assert_eq!(path(&redirect(&first, "307 Temporary Redirect", &absolute)), "/x?y");
        let mut peer = second.accept();
        peer.pong();
        assert_eq!(client.stdout.next_reply(), "Pong!");
        peer.close(1001, "");
    }
    let chain = format!("{start} to {url}/x?y (301) to {other}/end (307)");
    assert_eq!(client.stderr.next_event(), format!("INFO redirected from {chain}"));
    assert_eq!(client.stderr.next_event(), format!("INFO connected to {start}"));
    assert!(client.stderr.next_event().starts_with("WARN lost the connection to "));
    assert!(client.stderr.next_event().starts_with("INFO connected again "));
}

#[test]
fn a_redirect_may_lead_to_tls() {
    let authority = Authority::new("own");
    let secure = Secure::start(&authority.issue(&["localhost"]));
    let (plain, url) = Fake::start();
    let client = client(&[&url, "-L", "--cacert", &authority.file.path()]);
    redirect(&plain, "308 Permanent Redirect", &secure.url.replace("wss", "https"));
    secure.accept().pong();
    assert_eq!(client.stdout.next_reply(), "Pong!");
    let told = format!("INFO redirected from {url} to {} (308)", secure.url);
    assert_eq!(client.stderr.next_event(), told);
}

#[test]
fn another_server_does_not_get_the_user_or_the_cookie() {
    let ((first, url), (second, other)) = (Fake::start(), Fake::start());
    let args = [&url, "-L", "-u", "user:secret", "-H", "Cookie: a=b", "-H", "X-Y: z"];
    let _client = client(&args);
    let head = redirect(&first, "302 Found", "/same");
    assert!(head.contains("\r\nAuthorization: ") && head.contains("\r\nCookie: "), "{head}");
    let head = redirect(&first, "302 Found", &other);
    assert!(head.contains("\r\nAuthorization: ") && head.contains("\r\nCookie: "), "{head}");
    let (_, head) = second.accept_raw();
    assert!(!head.contains("Authorization") && !head.contains("Cookie"), "{head}");
    assert!(head.contains("\r\nX-Y: z\r\n"), "{head}");
}

#[test]
fn a_chain_without_an_end_is_given_up() {
    let (server, url) = Fake::start();
    let circle = client(&[&url, "-L"]);
    redirect(&server, "302 Found", "/a");
    redirect(&server, "302 Found", "/");
    redirect(&server, "302 Found", "/a");
    assert_eq!(
        cause(&circle, &url),
        format!(
            "redirected in a circle, which never ends: {url} to {url}/a (302) to {url}/ (302) to {url}/a (302)"
        )
    );
    drop(circle);

    let (server, url) = Fake::start();
    let long = client(&[&url, "-L"]);
    for number in 0..11 {
        redirect(&server, "302 Found", &format!("/{number}"));
    }
    let told = cause(&long, &url);
    assert!(told.starts_with("redirected more than 10 times: "), "{told}");
}

#[test]
fn an_error_at_the_target_of_a_redirect_names_the_redirects() {
    let (server, url) = Fake::start();
    let client = client(&[&url, "-L"]);
    redirect(&server, "302 Found", "/gone");
    server.refuse("404 Not Found", "");
    assert_eq!(
        cause(&client, &url),
        format!("redirected from {url} to {url}/gone (302): the server answered 404 Not Found")
    );
    redirect(&server, "302 Found", "ftp://user:secret@host/");
    // The cause is told once until the client is connected; the next try shows that it goes on.
    redirect(&server, "302 Found", "/");
    server.accept().pong();
}

#[test]
fn no_user_of_a_location_is_shown() {
    let (server, url) = Fake::start();
    let client = client_with(&[&url], &[("RUST_LOG", "debug")]);
    redirect(&server, "302 Found", "https://user:secret@other.test/");
    let told = client.stderr.next() + &client.stderr.next();
    assert!(told.contains("redirects to https://***@other.test/"), "{told}");
    assert!(!told.contains("secret"), "{told}");
}

#[test]
fn a_load_goes_to_the_target_alone() {
    let ((first, url), (second, other)) = (Fake::start(), Fake::start());
    let args = ["bench", &url, "-L", "--connections", "2", "--duration", "0.1", "--json"];
    let mut bench = Client::spawn(command(&[]).args(args));
    redirect(&first, "302 Found", &other);
    assert_eq!(u16::from(second.accept().closed().code), 1000);
    for mut peer in [second.accept(), second.accept()] {
        std::thread::spawn(move || {
            loop {
                peer.pong();
            }
        });
    }
    let figures = bench.stdout.next();
    assert!(figures.contains("\"connections\""), "{figures}");
    assert_eq!(bench.wait().code(), Some(0));
}
