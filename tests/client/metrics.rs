//! The client's own metrics.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::client::{Client, command};
use crate::fake::Fake;

/// A client that serves its metrics, and the address at which it does.
fn start(url: &str) -> (Client, String) {
    let mut command = command(&[("LAG_TIME", "0"), ("METRICS_LISTEN", "127.0.0.1:0")]);
    let client = Client::spawn(command.arg(url));
    let event = client.stderr.next_event();
    let address = event.strip_prefix("INFO metrics at http://").expect(&event);
    let address = address.strip_suffix("/metrics").unwrap().to_owned();
    (client, address)
}

/// The answer to a request.
pub(crate) fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn pings_outages_and_phases_are_served() {
    let (server, url) = Fake::start();
    let (client, address) = start(&url);
    let up = |text: &str| {
        text.lines().find(|line| line.starts_with("websockets_client_up")).unwrap().to_owned()
    };
    assert_eq!(up(&ask(&address, "GET /metrics")), "websockets_client_up 0");
    // A counter that appears with its first event has no increase then, for Prometheus.
    let text = ask(&address, "GET /metrics");
    for seen in ["close-1001", "close-other", "fin", "refused"] {
        let line = format!("websockets_client_outages_total{{seen=\"{seen}\"}} 0");
        assert!(text.lines().any(|other| other == line), "{line} in {text}");
    }
    let mut peer = server.accept();
    peer.pong();
    peer.pong();
    peer.ping();
    peer.close(1012, "restart");
    let mut peer = server.accept();
    peer.pong();
    peer.ping();
    let text = ask(&address, "GET /metrics");
    for line in [
        "HTTP/1.1 200 OK",
        "websockets_client_up 1",
        "websockets_client_pings_total{result=\"received\"} 3",
        "websockets_client_pings_total{result=\"lost\"} 1",
        "websockets_client_round_trip_seconds_count 3",
        "websockets_client_outages_total{seen=\"close-1012\"} 1",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} in {text}");
    }
    for phase in ["tcp", "upgrade", "first_reply"] {
        let name = format!("websockets_client_connect_seconds{{phase=\"{phase}\"}} ");
        assert!(text.contains(&name), "{name} in {text}");
    }
    drop(client);
}

#[test]
fn other_requests_to_the_metrics_get_an_error() {
    let (_server, url) = Fake::start();
    let (_client, address) = start(&url);
    let answer = ask(&address, "GET /");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(answer.ends_with("the metrics are at /metrics\n"), "{answer}");
    let answer = ask(&address, "POST /metrics");
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: GET, HEAD"), "{answer}");
}

#[test]
fn an_address_that_is_taken_is_told_and_the_client_cannot_tell() {
    let (_server, url) = Fake::start();
    let taken = &url["ws://".len()..];
    let output = command(&[("METRICS_LISTEN", taken)]).arg(&url).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let told = String::from_utf8(output.stderr).unwrap();
    let expected =
        format!("error: cannot listen on {taken} (METRICS_LISTEN): Address already in use");
    assert!(told.starts_with(&expected), "{told}");
}
