//! `--resolve`, `-4` and `-6`.

use std::net::TcpListener;

use super::{at_unknown_name, client};
use crate::client::{command, misused};
use crate::fake::{Fake, Peer, Port};
use crate::handshake::cause;

#[test]
fn a_name_gets_the_address_that_is_given() {
    for mode in [&[][..], &["talk"], &["bench", "--duration", "0.1"]] {
        let (server, _) = Fake::start();
        let url = at_unknown_name(server.address());
        let port = server.address().port();
        let given = format!("server.test:{port}:127.0.0.1");
        let _client = client(&[mode, &[&url, "--resolve", &given]].concat());
        let (_, head) = server.accept_raw();
        assert!(head.contains(&format!("\r\nHost: server.test:{port}\r\n")), "{head}");
    }
}

#[test]
fn each_address_of_a_name_is_tried() {
    let (server, _) = Fake::start();
    let (url, port) = (at_unknown_name(server.address()), server.address().port());
    let given = format!("*:{port}:127.0.0.2,127.0.0.1");
    let client = client(&[&url, "--resolve", &given]);
    server.accept().pong();
    assert_eq!(client.stdout.next_reply(), "Pong!");
}

#[test]
fn an_address_that_answers_wrongly_or_not_at_all_leaves_time_for_the_others() {
    for is_silent in [false, true] {
        let [first, second] = Fake::pair();
        let (url, port) = (at_unknown_name(first.address()), first.address().port());
        let given = format!("server.test:{port}:127.0.0.1,127.0.0.2");
        let client = client(&[&url, "--resolve", &given]);
        let _held = match is_silent {
            true => Some(first.accept_tcp()),
            false => {
                first.refuse("404 Not Found", "");
                None
            }
        };
        second.accept().pong();
        assert_eq!(client.stdout.next_reply(), "Pong!");
    }
}

#[test]
fn the_family_is_the_one_that_was_asked_for() {
    let v6 = TcpListener::bind("[::1]:0").unwrap();
    let port = v6.local_addr().unwrap().port();
    let url = format!("ws://server.test:{port}");
    // The port is reserved at the IPv4 address, or the client could reach another server.
    let given = format!("server.test:{port}:127.0.0.1,::1");
    let client_v6 = client(&[&url, "-6", "--resolve", &given]);
    let mut peer = Peer::over(v6.accept().unwrap().0).unwrap();
    peer.pong();
    assert_eq!(client_v6.stdout.next_reply(), "Pong!");

    let client_v4 = client(&["ws://[::1]:7", "-4"]);
    let told = "::1 has no IPv4 address, and -4 allows no other";
    assert_eq!(cause(&client_v4, "ws://[::1]:7"), told);
    let told = misused(&["ws://localhost", "-4", "-6"], &[]);
    assert!(told.contains("--ipv4") && told.contains("--ipv6"), "{told}");
}

#[test]
fn a_flag_of_the_family_is_no_url_of_the_interactive_mode() {
    let url = "ws://[::1]:7";
    let args = ["--interactive", "-4", "--server-url", url];
    let output = command(&[]).args(args).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("::1 has no IPv4 address, and -4"), "{told}");
}

#[test]
fn every_address_that_was_tried_is_told() {
    let port = Port::reserve();
    let url = at_unknown_name(port.address());
    let number = port.address().port();
    let given = format!("server.test:{number}:127.0.0.1,127.0.0.1");
    let client = client(&[&url, "--resolve", &given]);
    let told = format!("TCP to 127.0.0.1:{number}: Connection refused (os error 111)");
    assert_eq!(cause(&client, &url), told);
}

#[test]
fn a_wrong_address_is_a_wrong_setting() {
    let told = misused(&["ws://server", "--resolve", "server:80:nowhere"], &[]);
    let start = "--resolve is \"server:80:nowhere\", but allowed is HOST:PORT:ADDRESS";
    assert!(told.starts_with(start), "{told}");
}
