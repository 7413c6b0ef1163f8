//! Proxies of `--proxy` and of the environment.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use rustix::process::Signal;

use super::fake_proxy::FakeProxy;
use super::{at_unknown_name, client, client_with};
use crate::certificates::Authority;
use crate::client::{command, misused, run_with_input};
use crate::fake::{Fake, Peer, Port, read_head};
use crate::handshake::{assert_gives_up_after_5_s, cause};
use crate::real_server::RealServer;
use crate::secure::Secure;

const CONNECTED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

#[test]
fn every_mode_goes_through_the_proxy() {
    let server = RealServer::start(&[]);
    let url = at_unknown_name(server.address());
    for (proxy, scheme) in [
        (FakeProxy::http(server.address(), CONNECTED), "http"),
        (FakeProxy::socks(server.address(), 0), "socks5h"),
    ] {
        let through = format!("{scheme}://{}", proxy.address);
        let ping = client(&[&url, "-x", &through]);
        assert_eq!(ping.stdout.next_reply(), "Pong!");
        assert_eq!(ping.stderr.next_event(), format!("INFO connected to {url}"));
        ping.stop(Signal::TERM);
        assert!(proxy.asked().contains("server.test:"));

        let echo = format!("{url}/echo");
        let mut talk = command(&[]);
        let output = run_with_input(talk.args(["talk", &echo, "--proxy", &through]), "through\n");
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"[RE]: through\n"[..]));
        assert!(proxy.asked().contains("server.test:"));

        let bench = ["bench", &url, "--connections", "3", "--duration", "0.1", "-x", &through];
        let output = command(&[]).args(bench).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        (0..3).for_each(|_| assert!(proxy.asked().contains("server.test:")));
    }
}

#[test]
fn a_variable_that_is_not_utf_8_is_an_error_and_no_way_around_the_proxy() {
    for (name, flags) in [("ws_proxy", &[][..]), ("no_proxy", &["-x", "http://127.0.0.1:1"])] {
        let (server, url) = Fake::start();
        let value = OsStr::from_bytes(b"http://user:secret\xff@127.0.0.1:1");
        let output = command(&[]).arg(&url).args(flags).env(name, value).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        let expected =
            format!("error: {name} has bytes that are not UTF-8, but allowed is text in UTF-8\n");
        assert_eq!((output.status.code(), told), (Some(2), expected));
        assert!(!server.is_called(Duration::ZERO));
    }
}

#[test]
fn tls_goes_through_the_tunnel() {
    let authority = Authority::new("own");
    for scheme in ["http", "socks5h"] {
        let server = Secure::start(&authority.issue(&["server.test"]));
        let address = server.fake.address();
        let url = at_unknown_name(address).replace("ws", "wss");
        let proxy = match scheme {
            "http" => FakeProxy::http(address, CONNECTED),
            _ => FakeProxy::socks(address, 0),
        };
        let through = format!("{scheme}://{}", proxy.address);
        let client =
            client_with(&[&url, "--cacert", &authority.file.path()], &[("https_proxy", &through)]);
        server.accept().pong();
        assert_eq!(client.stdout.next_reply(), "Pong!");
        assert!(proxy.asked().contains("server.test:"));
    }
}

#[test]
fn a_proxy_may_speak_tls_itself() {
    let authority = Authority::new("own");
    let proxy = Secure::start(&authority.issue(&["localhost"]));
    let through = proxy.url.replace("wss", "https");
    let file = authority.file.path();
    let client = client(&["ws://server.test:7", "-x", &through, "--cacert", &file]);
    let mut stream = proxy.accept_tls().unwrap();
    let head = read_head(&mut stream);
    assert!(head.starts_with("CONNECT server.test:7 HTTP/1.1\r\n"), "{head}");
    stream.write_all(CONNECTED.as_bytes()).unwrap();
    Peer::over(stream).unwrap().pong();
    assert_eq!(client.stdout.next_reply(), "Pong!");

    // --insecure is for the server alone: a proxy may be sent a password.
    let proxy = Secure::start(&authority.issue(&["localhost"]));
    let through = proxy.url.replace("wss", "https");
    let stranger = super::client(&["ws://server.test:7", "-x", &through, "-k"]);
    assert!(proxy.accept_tls().is_err());
    let told = cause(&stranger, "ws://server.test:7");
    let start = format!("the proxy {through} (--proxy): unknown authority: ");
    assert!(told.starts_with(&start), "{told}");
}

#[test]
fn socks5_gets_addresses_and_socks5h_names() {
    for (scheme, asked) in [("socks5", "127.0.0.1"), ("socks5h", "localhost")] {
        let (server, url) = Fake::start();
        let by_name = url.replace("127.0.0.1", "localhost");
        let proxy = FakeProxy::socks(server.address(), 0);
        let _client = client(&[&by_name, "-4", "-x", &format!("{scheme}://{}", proxy.address)]);
        server.accept().pong();
        assert_eq!(proxy.asked(), format!("{asked}:{}", server.address().port()));
    }
}

#[test]
fn user_and_password_reach_the_proxy_and_nobody_else() {
    let (server, _) = Fake::start();
    let url = at_unknown_name(server.address());
    let variables = [("RUST_LOG", "trace")];
    let http = FakeProxy::http(server.address(), CONNECTED);
    let through = format!("http://Aladdin:open%20sesame@{}", http.address);
    let mut client = client_with(&[&url, "-x", &through], &variables);
    let (_stream, head) = server.accept_raw();
    assert!(!head.contains("uthorization"), "{head}");
    // The example of RFC 7617, section 2.
    let value = "\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n";
    let asked = http.asked();
    assert!(asked.contains(value), "{asked}");
    client.signal(Signal::TERM);
    let told = client.stderr.rest().concat() + &client.stdout.rest().concat();
    assert!(!told.contains("sesame") && !told.contains("QWxhZGRpb"), "{told}");
    client.wait();

    let socks = FakeProxy::socks(server.address(), 2);
    let through = format!("socks5h://Aladdin:open%20sesame@{}", socks.address);
    let _client = client_with(&[&url, "-x", &through], &variables);
    server.accept().pong();
    let port = server.address().port();
    assert_eq!(socks.asked(), format!("Aladdin:open sesame@server.test:{port}"));
}

#[test]
fn the_variables_are_those_of_curl() {
    for (variables, flag, is_used) in [
        (&[("ws_proxy", "PROXY")][..], None, true),
        (&[("http_proxy", "PROXY")], None, true),
        (&[("all_proxy", "PROXY")], None, true),
        (&[("ALL_PROXY", "PROXY")], None, true),
        (&[("HTTP_PROXY", "PROXY")], None, false),
        (&[("https_proxy", "PROXY")], None, false),
        (&[("http_proxy", ""), ("ws_proxy", "")], None, false),
        (&[("http_proxy", "PROXY"), ("NO_PROXY", "example.com,127.0.0.0/8")], None, false),
        (&[("http_proxy", "PROXY"), ("no_proxy", "*")], None, false),
        (&[("http_proxy", "PROXY")], Some("--proxy="), false),
    ] {
        let (server, url) = Fake::start();
        let proxy = FakeProxy::http(server.address(), CONNECTED);
        let through = proxy.address.to_string();
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| (*name, value.replace("PROXY", &through)))
            .collect();
        let set: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let args: Vec<_> = [Some(url.as_str()), flag].into_iter().flatten().collect();
        let _client = client_with(&args, &set);
        server.accept().pong();
        match is_used {
            true => assert!(proxy.asked().starts_with("CONNECT 127.0.0.1:"), "{set:?}"),
            false => assert!(proxy.is_unused(), "{set:?}"),
        }
    }
}

#[test]
fn a_proxy_that_refuses_is_told_with_what_to_do() {
    let (server, _) = Fake::start();
    let url = at_unknown_name(server.address());
    for (user, answer, told) in [
        (
            "",
            "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n",
            "it answered 407 Proxy Authentication Required to CONNECT TARGET: it wants a user and a password (Basic realm=\"x\"), as in http://USER:PASSWORD@PROXY:PORT",
        ),
        (
            "user:secret@",
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "it answered 407 Proxy Authentication Required to CONNECT TARGET: it does not accept the user and password that were sent",
        ),
        (
            "user:secret@",
            "HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\r\n",
            "it answered 401 Unauthorized to CONNECT TARGET: it does not accept the user and password that were sent (Basic realm=\"x\")",
        ),
        (
            "",
            "HTTP/1.0 403 Filtered\r\n\r\n",
            "it answered 403 Forbidden to CONNECT TARGET: its rules do not allow that: many proxies tunnel to port 443 alone (ConnectPort of tinyproxy, SSL_ports of squid)",
        ),
        (
            "",
            "HTTP/1.1 502 Bad Gateway\r\n\r\n",
            "it answered 502 Bad Gateway to CONNECT TARGET: it could not reach the server: is its name and port right for the proxy?",
        ),
        ("", "SSH-2.0-OpenSSH\r\n\r\n", "no HTTP server is there: it answered \"SSH-2.0-OpenSSH\""),
        ("", "", "it hung up without an answer to CONNECT: "),
        (
            "",
            "HTTP/1.1 200 OK\r\n\r\nSSH-2.0-OpenSSH\r\n",
            "what answers at TARGET speaks before it is asked, as no WebSocket server does",
        ),
    ] {
        let proxy = FakeProxy::http(server.address(), answer);
        let client = client(&[&url, "-x", &format!("{user}{}", proxy.address)]);
        let target = url.strip_prefix("ws://").unwrap();
        let told = format!("the proxy http://{} (--proxy): {told}", proxy.address);
        let cause = cause(&client, &url);
        assert!(cause.starts_with(&told.replace("TARGET", target)), "{cause}");
    }
}

#[test]
fn a_proxy_that_is_not_there_is_told_with_the_variable_that_names_it() {
    let port = Port::reserve();
    let address = port.address();
    let proxy = format!("http://user:secret@{address}");
    let client = client_with(&["ws://server.test"], &[("ALL_PROXY", &proxy)]);
    let told = format!("the proxy http://{address} (ALL_PROXY): Connection refused (os error 111)");
    assert_eq!(cause(&client, "ws://server.test"), told);
}

#[test]
fn a_proxy_of_an_unknown_name_is_told_as_such() {
    let client = client(&["ws://127.0.0.1:1", "-x", "socks5h://no-such-proxy.invalid"]);
    let told = cause(&client, "ws://127.0.0.1:1");
    let start =
        "the proxy socks5h://no-such-proxy.invalid (--proxy): the name no-such-proxy.invalid ";
    assert!(told.starts_with(start), "{told}");
}

#[test]
fn a_proxy_that_is_silent_is_given_up() {
    let (proxy, url) = Fake::start();
    let through = url.replace("ws", "socks5h");
    let client = client(&["ws://server.test", "-x", &through]);
    let _silent = proxy.accept_tcp();
    let told = cause(&client, "ws://server.test");
    let start = format!("no answer from the proxy {through} (--proxy) within ");
    assert_gives_up_after_5_s(&told, &start);
}

#[test]
fn a_wrong_proxy_is_a_wrong_setting_and_its_password_is_not_shown() {
    let allowed = "but allowed is [SCHEME://][USER:PASSWORD@]HOST[:PORT] with http, https, socks5 or socks5h as SCHEME, such as http://proxy:3128";
    let wrong = "socks4://user:secret@proxy";
    let shown = "\"socks4://***@proxy\"";
    for (args, variables, name) in [
        (&["ws://server", "-x", wrong][..], &[][..], "--proxy"),
        (&["talk", "ws://server", "-x", wrong], &[], "--proxy"),
        (&["wss://server"], &[("HTTPS_PROXY", wrong)], "HTTPS_PROXY"),
        (&["ws://server", "-L"], &[("https_proxy", wrong)], "https_proxy"),
    ] {
        assert_eq!(misused(args, variables), format!("{name} is {shown}, {allowed}"));
    }
}
