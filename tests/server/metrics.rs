//! The metrics of `/metrics`.

use crate::python::python;
use crate::support::{Load, RawClient, TestServer, UPGRADE, first, frame, ping_text, wait_until};

const PARSER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/server/metrics.py");

#[track_caller]
fn assert_becomes(server: &TestServer, sample: &str, value: f64) {
    wait_until(&format!("{sample} is {value}"), || server.metrics().get(sample) == value);
}

#[test]
fn connections_and_messages_count_by_service() {
    let server = TestServer::start();
    let mut echo = server.connect_to("/echo");
    let mut pings = [server.connect(), server.connect()];
    for text in ["a", "b", "c"] {
        echo.ask(text);
    }
    for client in &mut pings {
        client.ping("Client-100", "Ping!");
    }
    for (sample, value) in [
        (r#"websockets_connections{service="/"}"#, 2.0),
        (r#"websockets_connections{service="/echo"}"#, 1.0),
        (r#"websockets_connections{service="/total"}"#, 0.0),
        (r#"websockets_connections_total{service="/"}"#, 2.0),
        (r#"websockets_messages_total{service="/"}"#, 2.0),
        (r#"websockets_messages_total{service="/echo"}"#, 3.0),
        ("websockets_pings_total", 2.0),
        ("websockets_log_commit_pings_sum", 2.0),
        ("websockets_log_writable", 1.0),
        ("websockets_stdout_lines_left_out_total", 0.0),
        (concat!(r#"websockets_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""}"#), 1.0),
    ] {
        assert_becomes(&server, sample, value);
    }
    echo.close();
    assert_becomes(&server, r#"websockets_connections{service="/echo"}"#, 0.0);
    assert_eq!(server.metrics().get(r#"websockets_connections_total{service="/echo"}"#), 1.0);
}

#[test]
fn bytes_are_those_of_the_frames() {
    let server = TestServer::start();
    let mut client = server.raw_at("/mirror");
    let message = frame(first::TEXT, &[b'x'; 1000]);
    client.send(&message);
    client.frame();
    assert_becomes(&server, "websockets_received_bytes_total", message.len() as f64);
    assert_becomes(&server, "websockets_sent_bytes_total", message.len() as f64 - 4.0);
}

#[test]
fn bytes_that_come_with_the_request_for_the_upgrade_count_too() {
    let server = TestServer::start();
    let messages = frame(first::TEXT, b"early").repeat(3);
    let mut client = RawClient::connect(server.address());
    client.send(&[UPGRADE.as_bytes(), &messages].concat());
    assert_eq!(client.response().status, 101);
    for _ in 0..3 {
        assert!(client.frame().text().starts_with("Error: "));
    }
    assert_becomes(&server, "websockets_received_bytes_total", messages.len() as f64);
}

#[test]
fn errors_count_by_cause() {
    let server = TestServer::start();
    server.connect().ask("no ping");
    server.get("/nowhere");
    RawClient::ask(server.address(), &UPGRADE.replace("Version: 13", "Version: 12"));
    RawClient::ask(server.address(), "no request\r\n\r\n");
    for (first, payload) in [(first::BINARY, b"x"), (first::TEXT, b"\xff"), (0x83, b"x")] {
        server.raw().send(&frame(first, payload));
    }
    for (cause, count) in [
        ("unusable_message", 1.0),
        ("not_found", 1.0),
        ("bad_request", 2.0),
        ("binary_frame", 1.0),
        ("invalid_utf8", 1.0),
        ("protocol", 1.0),
        ("connection_lost", 1.0),
        ("peer_not_reading", 0.0),
        ("accept", 0.0),
    ] {
        assert_becomes(&server, &format!("websockets_errors_total{{cause=\"{cause}\"}}"), count);
    }
}

#[test]
fn a_connection_that_is_refused_for_lack_of_room_counts() {
    let server = TestServer::builder().env("MAX_CONNECTIONS", "1").start();
    let _only = server.connect();
    assert_eq!(RawClient::ask(server.address(), UPGRADE).status, 503);
    assert_becomes(&server, r#"websockets_errors_total{cause="too_many_connections"}"#, 1.0);
    assert_becomes(&server, "websockets_max_connections", 1.0);
}

#[test]
fn every_ping_under_load_is_counted_once() {
    let server = TestServer::builder().env("WORKERS", "2").start();
    let load = Load::start(server.address(), "load", 8, 16);
    load.wait_for(2000);
    server.metrics();
    let tallies = load.finish();
    let lines = server.log().lines().len() as f64;
    assert!(lines >= tallies.len() as f64);
    assert_becomes(&server, "websockets_pings_total", lines);
    let metrics = server.metrics();
    let writes = metrics.get("websockets_log_write_seconds_count");
    assert_eq!(metrics.get("websockets_pings_total"), lines);
    assert_eq!(metrics.get("websockets_log_commit_pings_sum"), lines);
    assert_eq!(metrics.get("websockets_log_commit_pings_count"), writes);
    assert_eq!(metrics.get(r#"websockets_log_write_seconds_bucket{le="+Inf"}"#), writes);
    assert!(metrics.get("process_open_fds") > 8.0);
    // The system counts processor time in hundredths of a second; reading the metrics takes some.
    let cpu = || server.metrics().get("process_cpu_seconds_total");
    wait_until("processor time is shown", || cpu() > 0.0);
}

#[test]
fn names_of_clients_are_not_used_as_labels() {
    let server = TestServer::start();
    let mut client = server.connect();
    for number in 0..100 {
        client.ask(&ping_text(&format!("name-{number}"), "Ping!"));
    }
    let response = server.get("/metrics");
    assert!(!response.body.contains("name-"), "{}", response.body);
    assert_eq!(response.header("Content-Type"), Some("text/plain; version=0.0.4"));
}

#[test]
#[ignore = "needs Python with prometheus-client"]
fn the_prometheus_parser_reads_all_metrics() {
    let server = TestServer::start();
    server.connect().ping("Client-100", "Ping!");
    let output =
        python(PARSER).arg(format!("http://{}/metrics", server.address())).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    for family in [
        "counter websockets_pings 1",
        "gauge websockets_connections 7",
        "histogram websockets_log_write_seconds",
        "counter process_cpu_seconds",
    ] {
        assert!(stdout.lines().any(|line| line.starts_with(family)), "{family} in {stdout}");
    }
}
