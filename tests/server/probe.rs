//! `/probe`, the server's half of the client's probes, frame by frame.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::python::python;
use crate::support::{
    RawClient, TestClient, TestServer, UPGRADE, close, eventually, first, frame, upgrade_at,
};

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/server/probe.py");

/// A connection of `/probe`, and its hello.
fn probe(server: &TestServer) -> (RawClient, Value) {
    let mut client = server.raw_at("/probe");
    let hello = next(&mut client);
    (client, hello)
}

/// The next frame, a text with JSON.
#[track_caller]
fn next(client: &mut RawClient) -> Value {
    serde_json::from_str(client.frame().text()).expect("JSON")
}

#[track_caller]
fn send(client: &mut RawClient, text: &str) {
    client.send(&frame(first::TEXT, text.as_bytes()));
}

#[track_caller]
fn ask(client: &mut RawClient, text: &str) -> Value {
    send(client, text);
    next(client)
}

fn name(hello: &Value) -> &str {
    hello["connection"].as_str().expect("a name")
}

/// Waits for the end of a connection, and returns its record, asked for over another connection.
#[track_caller]
fn ended(server: &TestServer, hello: &Value) -> Value {
    let (mut other, _) = probe(server);
    let question = json!({ "ended": name(hello) }).to_string();
    eventually("the end of the connection", || {
        let told = ask(&mut other, &question);
        assert_eq!(told["ended"], hello["connection"]);
        (told["seen"] != "open").then_some(told)
    })
}

/// The end of a connection as the server saw it, and the side that ended it.
#[track_caller]
fn seen(server: &TestServer, hello: &Value) -> (String, Value) {
    let told = ended(server, hello);
    assert!(told["at"].as_f64().is_some_and(|at| (0.0..60.0).contains(&(now() - at))), "{told}");
    (told["seen"].as_str().unwrap().to_owned(), told["by"].clone())
}

/// The present Unix time, in seconds.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

#[test]
fn the_hello_shows_the_request_as_it_arrived() {
    let server = TestServer::start();
    let head = "GET /probe/?a=1&token=abc HTTP/1.1\r\nhOST: localhost\r\nX-Last: 1\r\nUPGRADE: websocket\r\nconnection:keep-alive,  Upgrade \r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: id=7\r\nX-Forwarded-For: 203.0.113.7\r\nx-last: \"2\"\r\nAuthorization: Basic dTpw\r\nProxy-Authorization: x\r\nSec-WebSocket-Protocol: chat.v1, chat.v2\r\nSec-WebSocket-Extensions: x-unknown\r\n\r\n";
    let (mut client, response) = RawClient::request(server.address(), head);
    assert_eq!(response.status, 101);
    let hello = next(&mut client);
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let instance = hello["instance"].as_str().unwrap();
    let random = instance.strip_prefix(&format!("{host}-")).expect("the host name comes first");
    let expected = json!({
        "hello": 1,
        "instance": instance,
        "started": hello["started"],
        "version": env!("CARGO_PKG_VERSION"),
        "connection": format!("{random}-1"),
        "request": {
            "line": "GET /probe/?a=1&token=(3-byte-secret) HTTP/1.1",
            "headers": [
                ["hOST", "localhost"],
                ["X-Last", "1"],
                ["UPGRADE", "websocket"],
                ["connection", "keep-alive,  Upgrade"],
                ["Sec-WebSocket-Version", "13"],
                ["Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="],
                ["Cookie", "(4-byte-secret)"],
                ["X-Forwarded-For", "203.0.113.7"],
                ["x-last", "\"2\""],
                ["Authorization", "(10-byte-secret)"],
                ["Proxy-Authorization", "(1-byte-secret)"],
                ["Sec-WebSocket-Protocol", "chat.v1, chat.v2"],
                ["Sec-WebSocket-Extensions", "x-unknown"],
            ],
        },
        "peer": client.stream().local_addr().unwrap().to_string(),
        "tls": false,
        "subprotocol": "chat.v1",
        "extensions": null,
        "silent_for": 3600.0,
    });
    assert_eq!(hello, expected);
    let started = hello["started"].as_f64().unwrap();
    assert!((0.0..120.0).contains(&(now() - started)), "{started}");
}

#[test]
fn a_request_that_arrives_byte_by_byte_with_a_frame_behind_it_is_shown_in_full() {
    let server = TestServer::start();
    let mut client = RawClient::connect(server.address());
    let head = UPGRADE.replace("GET / ", "\r\nGET http://localhost/probe ");
    for byte in head.as_bytes() {
        client.send(&[*byte]);
    }
    client.send(&frame(first::TEXT, br#"{"ping":1}"#));
    assert_eq!(client.response().status, 101);
    let hello = next(&mut client);
    assert_eq!(hello["request"]["line"], "GET http://localhost/probe HTTP/1.1");
    assert_eq!(hello["request"]["headers"].as_array().unwrap().len(), 5);
    assert_eq!(next(&mut client)["pong"], 1);
}

#[test]
fn a_request_for_a_whole_url_is_shown_whatever_its_scheme() {
    let server = TestServer::start();
    for target in ["http://localhost/probe", "HTTP://localhost/probe", "ws://localhost/probe"] {
        let request = upgrade_at(target, "");
        let (mut client, response) = RawClient::request(server.address(), &request);
        assert_eq!(response.status, 101, "{target}");
        let hello = next(&mut client);
        assert_eq!(hello["request"]["line"], format!("GET {target} HTTP/1.1"));
        assert_eq!(hello["request"]["headers"].as_array().unwrap().len(), 5, "{target}");
    }
}

#[test]
fn the_hello_tells_tls_and_the_peer_behind_a_proxy_is_the_proxy() {
    let server = TestServer::builder().secure().env("TRUSTED_PROXIES", "127.0.0.1").start();
    let hello: Value = serde_json::from_str(&server.connect_securely_to("/probe").text()).unwrap();
    assert_eq!((&hello["tls"], &hello["subprotocol"]), (&json!(true), &Value::Null));
    let request = upgrade_at("/probe", "X-Forwarded-For: 203.0.113.7\r\n");
    let (mut client, response) = RawClient::request(server.address(), &request);
    assert_eq!(response.status, 101);
    let hello = next(&mut client);
    assert_eq!(hello["peer"], client.stream().local_addr().unwrap().to_string());
}

#[test]
fn an_instance_is_new_with_each_start_and_names_no_connection_of_another() {
    let (one, two) = (TestServer::start(), TestServer::start());
    let [(_, first), (mut client, second)] = [probe(&one), probe(&two)];
    assert_ne!(first["instance"], second["instance"]);
    for name in [name(&first), "", "1", "nonsense"] {
        let told = ask(&mut client, &json!({ "ended": name }).to_string());
        let expected = json!({
            "ended": name, "seen": "unknown", "by": null, "age": null, "silent": null, "at": null,
        });
        assert_eq!(told, expected);
    }
}

#[test]
fn a_ping_is_answered_with_the_clock_at_its_arrival_and_its_reply_and_not_logged() {
    let server = TestServer::start();
    let (mut client, _) = probe(&server);
    let mut last = 0;
    for number in [0, 7, u64::MAX] {
        let before = now();
        let pong = ask(&mut client, &json!({ "ping": number }).to_string());
        let after = now();
        let [arrived, left] = ["arrived", "left"].map(|stamp| pong[stamp].as_u64().unwrap());
        assert_eq!(pong, json!({ "pong": number, "arrived": arrived, "left": left }));
        assert!(last <= arrived && arrived <= left, "{last} {pong}");
        // A clock that is being adjusted may differ a little from itself.
        let in_time = before - 0.01..after + 0.01;
        assert!(in_time.contains(&(left as f64 / 1e6)), "{in_time:?} {pong}");
        last = left;
    }
    assert_eq!(server.log_text(), "");
    assert_eq!(server.metrics().get("websockets_pings_total"), 0.0);
}

#[test]
fn a_reply_that_is_held_back_leaves_later() {
    let server = TestServer::builder().env("REPLY_DELAY", "0.3").start();
    let (mut client, _) = probe(&server);
    let start = Instant::now();
    let pong = ask(&mut client, r#"{"ping":1}"#);
    assert!(start.elapsed() >= Duration::from_millis(300));
    let [arrived, left] = ["arrived", "left"].map(|stamp| pong[stamp].as_u64().unwrap());
    assert!(left - arrived >= 300_000, "{pong}");
    assert!(ask(&mut client, r#"{"ended":""}"#)["seen"] == "unknown");
}

#[test]
fn pushes_and_pings_come_from_the_server_alone_as_often_as_was_asked() {
    let server = TestServer::start();
    let (mut client, _) = probe(&server);
    let start = Instant::now();
    send(&mut client, r#"{"push": {"every": 0.05, "times": 4}}"#);
    for number in 1..=4 {
        assert_eq!(next(&mut client), json!({ "push": number }));
        assert!(start.elapsed() >= Duration::from_millis(50) * number);
    }
    send(&mut client, r#"{"pings": {"every": 0.05, "times": 3}}"#);
    for number in 1..=3_u32 {
        let ping = client.frame();
        assert_eq!((ping.first, ping.payload), (first::PING, number.to_string().into_bytes()));
    }
    // Neither schedule is left: the reply is the next frame.
    assert_eq!(ask(&mut client, r#"{"ping":1}"#)["pong"], 1);
}

#[test]
fn a_schedule_replaces_the_one_before_and_zero_times_ends_it() {
    let server = TestServer::start();
    let (mut client, _) = probe(&server);
    send(&mut client, r#"{"push": {"every": 0.01, "times": 10000}}"#);
    assert_eq!(next(&mut client)["push"], 1);
    send(&mut client, r#"{"push": {"every": 3600, "times": 1}}"#);
    send(&mut client, r#"{"push": {"every": 0.01, "times": 0}}"#);
    send(&mut client, r#"{"ping":1}"#);
    let last = std::iter::from_fn(|| Some(next(&mut client)))
        .find(|reply| reply.get("push").is_none())
        .unwrap();
    assert_eq!(last["pong"], 1);
    send(&mut client, r#"{"pings": {"every": 0.01, "times": 1}}"#);
    assert_eq!(client.frame().first, first::PING);
}

#[test]
fn an_invalid_request_gets_an_error_that_lists_the_valid_ones() {
    let server = TestServer::start();
    let (mut client, _) = probe(&server);
    let allowed = r#"Error: expected one of {"ping": 1}, {"push": {"every": 5, "times": 12}}, {"pings": {"every": 5, "times": 12}}, {"ended": "CONNECTION"}: "#;
    for (text, reason) in [
        ("hello", "expected value"),
        (r#"{"ping":"1"}"#, "invalid type: string \"1\", expected u64"),
        (r#"{"push":{"times":1}}"#, "missing field `every`"),
    ] {
        send(&mut client, text);
        assert_eq!(client.frame().text(), format!("{allowed}{reason}"));
    }
    send(&mut client, r#"{"pings": {"every": 0.001, "times": 10001}}"#);
    assert_eq!(
        client.frame().text(),
        "Error: expected every from 0.01 to 3600 seconds and at most 10000 times, not 10001 times every 0.001 seconds"
    );
    server.event("invalid message: expected one of");
    client.send(&frame(first::BINARY, b"1"));
    assert_eq!(client.close_code(), Some(1003));
}

#[test]
fn the_end_of_a_connection_is_remembered_as_the_server_saw_it() {
    let server = TestServer::start();
    let (mut client, hello) = probe(&server);
    client.send(&close(4321));
    assert_eq!(client.close_code(), Some(4321));
    assert_eq!(seen(&server, &hello), ("close-4321".into(), json!("peer")));

    let (mut client, hello) = probe(&server);
    client.send(&frame(first::CLOSE, b""));
    assert_eq!(seen(&server, &hello), ("close-1005".into(), json!("peer")));

    let (mut client, hello) = probe(&server);
    client.send(&frame(first::TEXT, b"\xff"));
    assert_eq!(client.close_code(), Some(1007));
    assert_eq!(seen(&server, &hello), ("close-1007".into(), json!("server")));

    let (client, hello) = probe(&server);
    client.end();
    assert_eq!(seen(&server, &hello), ("fin".into(), json!("peer")));

    let (client, hello) = probe(&server);
    rustix::net::sockopt::set_socket_linger(client.stream(), Some(Duration::ZERO)).unwrap();
    drop(client);
    assert_eq!(seen(&server, &hello), ("rst".into(), json!("peer")));
}

#[test]
fn an_open_connection_is_told_with_its_age_and_its_silence() {
    let server = TestServer::start();
    let start = Instant::now();
    let (mut client, hello) = probe(&server);
    let (mut other, _) = probe(&server);
    let question = json!({ "ended": name(&hello) }).to_string();
    let silent = eventually("a silence of 0.2 s", || {
        let told = ask(&mut other, &question);
        assert_eq!(
            (&told["seen"], &told["by"], &told["at"]),
            (&json!("open"), &Value::Null, &Value::Null)
        );
        assert_eq!(told["age"], told["silent"], "it said nothing so far");
        told["silent"].as_f64().filter(|&silent| silent >= 0.2)
    });
    let told = eventually("a sign of life", || {
        // Sent repeatedly: if the machine stalls, the silence after the frame exceeds the earlier
        // one.
        client.send(&frame(first::PONG, b""));
        let told = ask(&mut other, &question);
        (told["silent"].as_f64().unwrap() < silent).then_some(told)
    });
    let age = told["age"].as_f64().unwrap();
    assert!((silent..start.elapsed().as_secs_f64() + 0.01).contains(&age), "{told}");
    let own = ask(&mut client, &question);
    assert!(own["silent"].as_f64().unwrap() < own["age"].as_f64().unwrap(), "{own}");
    client.end();
    assert!(ended(&server, &hello)["age"].as_f64().unwrap() >= age);
}

#[test]
fn a_probe_that_does_not_read_is_closed_and_told_as_silence() {
    let server = TestServer::start();
    let mut client = RawClient::with_small_buffer(server.address());
    client.send(upgrade_at("/probe", "").as_bytes());
    assert_eq!(client.response().status, 101);
    let hello = next(&mut client);
    let question = frame(first::TEXT, json!({ "ended": "x".repeat(8000) }).to_string().as_bytes());
    // Writes until the end of the connection.
    while client.try_send(&question).is_ok() {}
    assert_eq!(seen(&server, &hello), ("silence".into(), json!("server")));
    server.event("dropped: the client does not read");
}

#[test]
fn a_flood_at_one_probe_costs_little_memory() {
    let server = TestServer::start();
    let before = server.memory();
    for _ in 0..5000 {
        let (mut client, _) = probe(&server);
        send(&mut client, r#"{"push": {"every": 3600, "times": 10000}}"#);
        client.send(&close(1000));
        client.close_code();
    }
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes");
}

#[test]
fn a_server_without_probe_answers_404_and_lists_the_other_paths() {
    let server = TestServer::builder().env("PROBE", "off").start();
    let refused = RawClient::ask(server.address(), &upgrade_at("/probe", ""));
    assert_eq!(refused.status, 404);
    assert!(refused.body.starts_with("There is no /probe here. The paths"), "{}", refused.body);
    assert!(
        refused.body.contains("/status ") && !refused.body.contains("  /probe"),
        "{}",
        refused.body
    );
    assert!(server.connect().ask("?").ends_with("/total, /status"));
    assert!(!server.get("/status").body.contains("/probe"));
    server.assert_serves();
    let on = TestServer::builder().arg("--probe").start();
    assert!(on.get("/nowhere").body.contains("  /probe"));
    assert!(on.connect().ask("?").ends_with("/total, /status, /probe"));
}

#[test]
fn origins_and_the_bound_on_connections_hold_at_probe() {
    let server = TestServer::builder()
        .env("ALLOWED_ORIGINS", "https://example.com")
        .env("MAX_CONNECTIONS", "1")
        .start();
    let foreign = upgrade_at("/probe", "Origin: https://evil.example\r\n");
    assert_eq!(RawClient::ask(server.address(), &foreign).status, 403);
    let (_client, _) = probe(&server);
    assert_eq!(RawClient::ask(server.address(), &upgrade_at("/probe", "")).status, 503);
    let open = server.metrics().get("websockets_connections{service=\"/probe\"}");
    assert_eq!(open, 1.0);
}

#[test]
fn probe_may_be_the_service_at_the_root() {
    let server = TestServer::builder().env("DEFAULT_SERVICE", "/probe").start();
    let hello: Value = serde_json::from_str(&server.connect_to("/").reply()).unwrap();
    assert_eq!(hello["request"]["line"], "GET / HTTP/1.1");
}

#[test]
fn a_server_that_stops_answers_what_it_has_read_and_closes_probes_with_1001() {
    let mut server = TestServer::start();
    let (mut client, _) = probe(&server);
    let (mut pushed, _) = probe(&server);
    send(&mut pushed, r#"{"push": {"every": 3600, "times": 1}}"#);
    send(&mut client, r#"{"ping":1}"#);
    assert_eq!(next(&mut client)["pong"], 1);
    assert_eq!(server.stop().0, Some(0));
    assert_eq!([client.close_code(), pushed.close_code()], [Some(1001); 2]);
}

#[test]
fn probes_of_all_workers_know_of_each_other() {
    let server = TestServer::builder().env("WORKERS", "4").start();
    let mut probes: Vec<_> = (0..8).map(|_| probe(&server)).collect();
    let names: Vec<_> = probes.iter().map(|(_, hello)| name(hello).to_owned()).collect();
    for (client, _) in &mut probes {
        for name in &names {
            assert_eq!(ask(client, &json!({ "ended": name }).to_string())["seen"], "open");
        }
    }
}

#[test]
fn a_client_that_knows_no_probe_is_served() {
    let server = TestServer::start();
    let mut client = TestClient::connect_to(server.address(), "/probe");
    assert!(client.reply().starts_with("{\"hello\":1,"));
    assert!(client.ping("Client-100", "Ping!").starts_with("Error: expected one of"));
    client.close();
    assert_eq!(server.log_text(), "");
}

#[test]
#[ignore = "needs Python with websockets"]
fn a_python_client_reads_the_frames() {
    let server = TestServer::start();
    let url = format!("ws://{}/probe", server.address());
    let output = python(CLIENT).env("SERVER_URL", url).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(stdout, "hello 1\npong 7\npush 1\npush 2\nclose-1000 peer\n");
}
