//! The output of `--json`, compared with the table in the client's README.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use rustix::process::Signal;
use serde_json::Value;

use crate::client::{Client, command, next, run_with_input};
use crate::fake::{Fake, Port};
use crate::metrics::ask;
use crate::ping_options::run;
use crate::real_server::RealServer;

const README: &str = include_str!("../../crates/client/README.md");

/// The fields of each type, as the README has them.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let (_, section) = README.split_once("\n## JSON\n").expect("a section about JSON");
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|');
        let name = cells.next().unwrap().trim().trim_matches('`').to_owned();
        let fields = cells.next().unwrap().split('`').skip(1).step_by(2);
        (name, fields.map(str::to_owned).collect())
    })
    .collect()
}

/// The name of the row that an object belongs to.
fn row(object: &Value) -> String {
    match (&object["type"], &object["probe"]) {
        (Value::String(name), Value::String(probe)) => format!("{name} of {probe}"),
        (Value::String(name), _) => name.clone(),
        _ => panic!("no type: {object}"),
    }
}

/// The fields of an object, with those of the objects inside as `outer.inner`.
fn fields(object: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (name, value) in object.as_object().unwrap() {
        match value {
            // The names in these objects are causes and ends, which depend on the server.
            Value::Object(_) if !name.ends_with("_by_cause") && !name.starts_with("seen") => {
                names.extend(fields(value).iter().map(|inner| format!("{name}.{inner}")));
            }
            _ => _ = names.insert(name.clone()),
        }
    }
    names
}

/// Checks the objects of an output; returns them.
#[track_caller]
pub(crate) fn checked(stdout: &[u8]) -> Vec<Value> {
    let text = str::from_utf8(stdout).unwrap();
    let objects: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let documented = documented();
    for object in &objects {
        assert_eq!(object["schema"], 1);
        assert!(object["at"].as_f64().is_some_and(|at| at > 1.7e9), "{object}");
        let mut fields = fields(object);
        for common in ["type", "schema", "at"] {
            assert!(fields.remove(common), "{common} in {object}");
        }
        let row = row(object);
        let documented = documented.get(&row).unwrap_or_else(|| panic!("no row for {row}"));
        // A field that may be an object or null is documented with the fields of the object.
        let is_null =
            |name: &String| name.split_once('.').is_some_and(|(outer, _)| object[outer].is_null());
        let documented: BTreeSet<_> = documented
            .iter()
            .map(|name| if is_null(name) { name.split('.').next().unwrap() } else { name })
            .map(str::to_owned)
            .collect();
        assert_eq!(fields, documented, "{row}");
    }
    let verdict = objects.last().expect("a verdict");
    assert_eq!(verdict["type"], "verdict");
    assert_eq!(objects.iter().filter(|object| object["type"] == "verdict").count(), 1);
    objects
}

fn of_type<'a>(objects: &'a [Value], name: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["type"] == name).collect()
}

#[test]
fn each_object_has_the_fields_that_are_documented() {
    let (output, _) = run(&["--json", "-c", "4"], |server| {
        let mut peer = server.accept();
        peer.pong();
        peer.pong();
        peer.close(1001, "the server stops");
        let mut peer = server.accept();
        peer.pong();
        peer.pong();
        peer.closed();
    });
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let objects = checked(&output.stdout);
    let connections = of_type(&objects, "connection");
    assert_eq!(connections.len(), 2);
    for phase in ["tcp", "upgrade", "first_reply"] {
        let time = connections[0]["phases"][phase].as_f64();
        assert!(time.is_some_and(|time| time < 30.0), "{phase}");
    }
    // An address is not looked up.
    for phase in ["dns", "proxy", "tls"] {
        assert_eq!(connections[0]["phases"][phase], Value::Null);
    }
    let [outage] = of_type(&objects, "outage")[..] else { panic!("not one outage: {objects:?}") };
    assert_eq!((&outage["seen"], &outage["code"]), (&"close-1001".into(), &1001.into()));
    assert_eq!(outage["reason"], "closed by the server (1001: the server stops)");
    assert_eq!(outage["over"], true);
    // The ping on its way may or may not be lost with the first connection.
    let verdict = objects.last().unwrap();
    let (received, lost) = (of_type(&objects, "reply").len(), verdict["lost"].as_u64().unwrap());
    assert_eq!((&verdict["ok"], &verdict["probe"]), (&true.into(), &"ping".into()));
    assert_eq!((&verdict["sent"], &verdict["received"]), (&4.into(), &received.into()));
    assert_eq!(received as u64 + lost, 4);
    assert_eq!((&verdict["outages"], &verdict["cause"]), (&1.into(), &"none".into()));
    assert_eq!(verdict["outage_total"], outage["length"]);
}

/// Stops a client with a signal; returns its exit status and its objects.
fn stopped(mut client: Client) -> (Option<i32>, Vec<Value>) {
    client.signal(Signal::INT);
    let stdout = client.stdout.rest().join("\n");
    (client.wait().code(), checked(stdout.as_bytes()))
}

fn start(url: &str, args: &[&str]) -> Client {
    Client::spawn(command(&[("LAG_TIME", "3600")]).args(["--json", url]).args(args))
}

#[test]
fn a_verdict_is_the_last_line_also_after_a_signal() {
    let (server, url) = Fake::start();
    let client = start(&url, &[]);
    let closed = thread::spawn(move || {
        let mut peer = server.accept();
        peer.pong();
        peer
    });
    assert!(client.stdout.next().contains("\"type\":\"connection\""));
    assert!(client.stdout.next().contains("\"type\":\"reply\""));
    let peer = closed.join().unwrap();
    let closed = thread::spawn(move || peer.closed());
    let (status, objects) = stopped(client);
    closed.join().unwrap();
    assert_eq!((status, objects.len()), (Some(0), 1));
    assert_eq!(objects[0]["ok"], true);
}

#[test]
fn a_server_that_is_away_is_an_outage_that_is_not_over() {
    let port = Port::reserve();
    let client = start(&port.url(), &[]);
    assert!(client.stderr.next_event().starts_with("WARN cannot connect to "));
    let (status, objects) = stopped(client);
    assert_eq!(status, Some(1));
    assert_eq!((&objects[0]["seen"], &objects[0]["over"]), (&"refused".into(), &false.into()));
    assert_eq!((&objects[0]["age"], &objects[0]["code"]), (&Value::Null, &Value::Null));
    let verdict = &objects[1];
    assert_eq!((&verdict["ok"], &verdict["availability"]), (&false.into(), &0.0.into()));
    assert_eq!(verdict["text"], "no ping was answered");
}

#[test]
fn a_run_that_cannot_tell_has_a_verdict_that_says_so() {
    let (server, url) = Fake::start();
    let client = start(&url, &["-c", "1"]);
    let (_stream, _) = server.accept_head();
    let (status, objects) = stopped(client);
    let [outage, verdict] = &objects[..] else { panic!("{objects:?}") };
    assert_eq!((&outage["seen"], &outage["over"]), (&"refused".into(), &false.into()));
    let reason = outage["reason"].as_str().unwrap();
    assert!(reason.starts_with("no answer to the request for the upgrade within "), "{outage}");
    assert_eq!((status, &verdict["ok"], &verdict["outages"]), (Some(3), &Value::Null, &1.into()));
}

#[test]
fn the_report_of_a_load_test_is_a_verdict() {
    let (server, url) = Fake::start();
    let serving = thread::spawn(move || {
        let mut peer = server.accept();
        peer.pong();
        peer.close(1001, "the server stops");
        let mut peer = server.accept();
        loop {
            match peer.next() {
                tokio_tungstenite::tungstenite::Message::Text(_) => peer.say("Pong!"),
                _ => return peer.finish(),
            }
        }
    });
    let args = ["bench", &url, "--json", "--connections", "1", "--duration", "8s", "--rate", "50"];
    let output = command(&[]).args(args).output().unwrap();
    serving.join().unwrap();
    let objects = checked(&output.stdout);
    assert_eq!((output.status.code(), objects.len()), (Some(1), 1));
    assert_eq!(objects[0]["ok"], false);
    assert_eq!(objects[0]["text"], "1 connection lost");
}

#[test]
fn a_load_test_that_cannot_begin_has_a_verdict_all_the_same() {
    let args = ["bench", "ws://no.such.name.invalid", "--json"];
    let output = command(&[]).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&verdict["type"], &verdict["probe"]), (&"verdict".into(), &"bench".into()));
    assert_eq!((&verdict["ok"], verdict.get("pings")), (&Value::Null, None));
    assert!(verdict["text"].as_str().unwrap().starts_with("cannot connect to "), "{verdict}");
}

#[test]
fn a_talk_has_an_object_for_each_frame_and_a_verdict() {
    for (lines, missing) in [(2, 0), (5, 2)] {
        let (server, url) = Fake::start();
        let serving = thread::spawn(move || {
            let mut peer = server.accept();
            (0..2).for_each(|_| {
                let line = peer.ping();
                peer.say(&format!("a\n{line}"));
            });
            peer.send(tokio_tungstenite::tungstenite::Message::binary(vec![1, 2, 3]));
            peer.read_to_close();
        });
        let mut command = command(&[("PONG_TIMEOUT", "4")]);
        let output = run_with_input(command.args(["talk", &url, "--json"]), &"x\n".repeat(lines));
        serving.join().unwrap();
        let objects = checked(&output.stdout);
        let messages = of_type(&objects, "message");
        assert_eq!((&messages[0]["kind"], &messages[0]["text"]), (&"text".into(), &"a\nx".into()));
        assert_eq!((&messages[2]["kind"], &messages[2]["bytes"]), (&"binary".into(), &3.into()));
        assert_eq!(of_type(&objects, "connection").len(), 1);
        let verdict = objects.last().unwrap();
        assert_eq!((&verdict["sent"], &verdict["received"]), (&lines.into(), &3.into()));
        assert_eq!(verdict["ok"], output.status.success());
        // The binary frame counts as the reply to the third line.
        assert_eq!((&verdict["missing"], output.status.success()), (&missing.into(), missing == 0));
    }
}

/// The objects of a probe of `/probe` on a server, which is started anew once so many connections
/// are there.
fn probed(args: &[&str], restart_after: Option<usize>) -> (Option<i32>, Vec<Value>) {
    let mut server = RealServer::start(&[]);
    let url = format!("{}/probe", server.url());
    let mut client = Client::spawn(command(&[]).args(args).args([&url, "--json"]));
    let mut lines = Vec::new();
    if let Some(number) = restart_after {
        let is_connection = |line: &&String| line.contains("\"type\":\"connection\"");
        while lines.iter().filter(is_connection).count() < number {
            lines.push(client.stdout.next());
        }
        server.stop();
        lines.push(client.stdout.next());
        server.run(&[]);
    }
    lines.extend(client.stdout.rest());
    let status = client.wait().code();
    (status, checked(lines.join("\n").as_bytes()))
}

#[test]
fn the_spread_of_connections_has_an_object_for_each_and_a_verdict() {
    let (status, objects) = probed(&["spread", "-n", "10"], None);
    assert_eq!((status, of_type(&objects, "connection").len()), (Some(1), 10));
    let verdict = objects.last().unwrap();
    assert_eq!((&verdict["pattern"], &verdict["connections"]), (&"one".into(), &10.into()));
    assert_eq!(verdict["shares"][0]["instance"], of_type(&objects, "connection")[0]["instance"]);
}

#[test]
fn held_connections_have_samples_outages_and_a_verdict() {
    let args = ["hold", "-n", "5", "--until-quiet", "8s"];
    let (status, objects) = probed(&args, Some(5));
    assert_eq!(status, Some(1));
    let outages = of_type(&objects, "outage");
    assert_eq!(outages.len(), 5);
    assert!(outages.iter().all(|outage| outage["before"] != outage["after"]), "{outages:?}");
    assert!(of_type(&objects, "sample").len() > 1);
    let verdict = objects.last().unwrap();
    assert_eq!(verdict["seen"]["close-1001"], 5, "{verdict}");
}

#[test]
fn a_check_has_an_object_for_each_rule_and_a_verdict() {
    let server = RealServer::start(&[]);
    let args = ["check", &server.url(), "--json", "-W", "10"];
    let output = command(&[]).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let objects = checked(&output.stdout);
    let (verdict, checks) = objects.split_last().unwrap();
    assert_eq!((&verdict["ok"], &verdict["passed"]), (&true.into(), &checks.len().into()));
    assert_eq!(verdict["text"], format!("{} passed, 0 warned, 0 failed", checks.len()));
    let listed = verdict["checks"].as_array().unwrap();
    assert_eq!(listed.len(), checks.len());
    for (check, listed) in checks.iter().zip(listed) {
        for name in ["id", "section", "outcome", "detail"] {
            assert_eq!(check[name], listed[name]);
        }
    }
    assert_eq!((&checks[0]["id"], &checks[0]["section"]), (&"status".into(), &"4.2.2".into()));
    let detail = "sent the usual request; came HTTP/1.1 101 Switching Protocols";
    assert_eq!((&checks[0]["outcome"], &checks[0]["detail"]), (&"passed".into(), &detail.into()));
}

#[test]
fn a_server_at_probe_tells_which_it_is_where_ping_frames_measure_too() {
    let mut server = RealServer::start(&[]);
    let url = server.url() + "/probe";
    let [pipe, json] = [&["-p", &url][..], &["-p", "--json", &url]]
        .map(|args| Client::spawn(command(&[("LAG_TIME", "0.01")]).args(args)));
    let first = next(&json, "connection")["instance"].clone();
    assert!(first.is_string(), "{first}");
    // The first line is no hello.
    assert!(pipe.stdout.next_reply().starts_with("Pong frame seq=1 "));
    let messages = "websockets_messages_total{service=\"/probe\"} 0";
    let metrics = ask(&server.address().to_string(), "GET /metrics");
    assert!(metrics.lines().any(|line| line == messages), "{metrics}");
    server.stop();
    server.run(&[]);
    let outage = next(&json, "outage");
    let second = &outage["after"];
    assert_eq!((&outage["before"], second.is_string()), (&first, true), "{outage}");
    assert_ne!(first, *second);
    let is_up = |event: String| event.starts_with("INFO connected again after ");
    while !is_up(pipe.stderr.next_event()) {}
    pipe.signal(Signal::INT);
    let lines = pipe.stdout.rest();
    let [first, second] = [&first, second].map(|instance| instance.as_str().unwrap());
    let servers = format!("; {first} before, {second} after");
    assert!(lines.iter().any(|line| line.ends_with(&servers)), "{servers} in {lines:?}");
    assert!(!lines.iter().any(|line| line.contains("\"hello\"")), "{lines:?}");
    // The hello is no event either.
    json.signal(Signal::INT);
    let told = json.stderr.rest();
    assert!(!told.iter().any(|line| line.contains("hello")), "{told:?}");
}

#[test]
fn a_server_at_probe_tells_which_it_is_and_its_time() {
    let mut server = RealServer::start(&[]);
    let url = server.url() + "/probe";
    let client = Client::spawn(command(&[("LAG_TIME", "0.01")]).args(["--json", &url]));
    let first = next(&client, "connection")["instance"].clone();
    assert!(first.is_string(), "{first}");
    let reply = next(&client, "reply");
    let [time, inside] = ["time", "server_time"].map(|name| reply[name].as_f64().unwrap());
    assert!((0.0..=time).contains(&inside), "{reply}");
    next(&client, "reply");
    server.stop();
    server.run(&[]);
    let second = next(&client, "connection")["instance"].clone();
    let outage = next(&client, "outage");
    assert_eq!((&outage["before"], &outage["after"]), (&first, &second), "{outage}");
    assert_ne!(first, second);
    let (status, rest) = stopped(client);
    let verdict = rest.last().unwrap();
    assert_eq!(status, Some(0), "{verdict}");
    assert!(verdict["server_times"]["avg"].as_f64().is_some_and(|time| time < 30.0), "{verdict}");
    assert!(verdict["variation"]["to_server"].is_f64(), "{verdict}");
    // The log has the pings of / alone.
    assert_eq!(server.log(), "");
}
