//! `client hold`: held connections during restarts, reloads and network faults.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::balancer::{Balancer, Policy};
use crate::network::{Cut, Network};
use crate::probe::{Outcome, Probe};
use crate::stalls::patiently;
use crate::support::{TestServer, own_address};
use crate::{programs, two_servers};

/// Two servers behind a balancer, and a probe that holds connections to both.
struct Scene {
    servers: [TestServer; 2],
    balancer: Balancer,
    probe: Probe,
}

const CONNECTIONS: u64 = 40;

/// Quiet time of a probe: longer than a stall of the machine delays a reconnect.
const QUIET: &str = "8s";

impl Scene {
    fn begin(args: &[&str]) -> Self {
        let (servers, addresses) = two_servers();
        let balancer = Balancer::start(Policy::InTurn, &addresses);
        let url = balancer.url("/probe");
        let number = CONNECTIONS.to_string();
        let probe = Probe::start(&[&["hold", &url, "-n", &number], args].concat());
        probe.holds(CONNECTIONS);
        Self { servers, balancer, probe }
    }
}

/// Fails unless the connections to one of the two servers were lost, and ended as in `seen`.
#[track_caller]
fn assert_half_lost(outcome: &Outcome, seen: &str) {
    let lost = outcome.verdict()["lost"].as_u64().unwrap();
    assert!((10..=30).contains(&lost), "{}", outcome.verdict());
    assert_eq!(outcome.verdict()["seen"][seen], lost, "{}", outcome.verdict());
    outcome.assert(&[
        ("probe", "hold".into()),
        ("connections", CONNECTIONS.into()),
        ("not_back", 0.into()),
        ("cause", "instant".into()),
    ]);
    let outages = outcome.of_type("outage");
    assert_eq!(outages.len() as u64, lost);
    let before = &outages[0]["before"];
    for outage in outages {
        assert_eq!((&outage["seen"], &outage["over"]), (&seen.into(), &true.into()));
        assert_eq!(&outage["before"], before);
        assert!(outage["after"].is_string() && outage["after"] != *before, "{outage}");
    }
    // There is an object for each connection, and for each that replaced a lost one.
    assert_eq!(outcome.of_type("connection").len() as u64, CONNECTIONS + lost);
    let (worst, median) = (seconds(outcome, "worst_gap"), seconds(outcome, "median_gap"));
    assert!(0.0 < median && median <= worst && worst < 60.0, "{}", outcome.verdict());
    outcome.assert_says(&["All were connections to ", "none to any other server"]);
}

fn seconds(outcome: &Outcome, name: &str) -> f64 {
    outcome.verdict()[name].as_f64().unwrap_or_else(|| panic!("{name}: {}", outcome.verdict()))
}

#[test]
fn without_a_fault_no_connection_is_lost() {
    let outcome = Scene::begin(&["--for", "12s"]).probe.wait();
    assert_eq!(outcome.status, Some(0));
    outcome.assert(&[
        ("ok", true.into()),
        ("lost", 0.into()),
        ("losses", 0.into()),
        ("seen", serde_json::json!({})),
        ("worst_gap", Value::Null),
        ("median_gap", Value::Null),
        ("refused", 0.into()),
        ("even_after", true.into()),
        ("cause", Value::Null),
    ]);
    outcome.assert_says(&["none of 40 connections was lost in ", "The load is even: "]);
}

#[test]
fn a_limit_of_less_than_a_second_is_kept() {
    let server = TestServer::start();
    let url = format!("ws://{}/probe", server.address());
    // On a busy machine, the end may be late.
    let is_kept = || {
        let outcome = Probe::run(&["hold", &url, "-n", "2", "--for", "600ms"]);
        assert_eq!(outcome.status, Some(0), "{}", outcome.text());
        outcome.text().contains("was lost in 0.")
    };
    assert!((0..5).any(|_| is_kept()));
}

#[test]
fn a_server_that_stops_drains_its_connections() {
    let mut scene = Scene::begin(&["--until-quiet", QUIET]);
    scene.servers[0].stop();
    let outcome = scene.probe.wait();
    assert_eq!(outcome.status, Some(1));
    assert_half_lost(&outcome, "close-1001");
    outcome.assert(&[("ok", false.into()), ("even_after", Value::Null)]);
    outcome.assert_says(&["drained (Close 1001)", "it was stopped, replaced or taken out"]);
}

#[test]
fn a_server_that_is_killed_cuts_its_connections() {
    let mut scene = Scene::begin(&["--until-quiet", QUIET, "--max-gap", "60s"]);
    scene.servers[0].kill();
    let outcome = scene.probe.wait();
    assert_eq!(outcome.status, Some(0), "{}", outcome.text());
    assert_half_lost(&outcome, "fin");
    outcome.assert_says(&["cut (FIN without a Close)", "No gap was longer than 60.0 s"]);
}

#[test]
fn a_server_that_freezes_is_given_up_and_takes_newcomers_when_it_thaws() {
    let scene = Scene::begin(&["--pong-timeout", "3"]);
    scene.servers[0].signal(Signal::STOP);
    scene.probe.until("connections wait", |object| object["waiting"].as_u64() > Some(9));
    scene.probe.until("they are given up", |object| object["lost"].as_u64() > Some(9));
    scene.servers[0].signal(Signal::CONT);
    scene.probe.holds(CONNECTIONS);
    let outcome = scene.probe.interrupt();
    assert_eq!(outcome.status, Some(1));
    // Some connections may have tried the frozen server again before they went to the other one.
    assert!(outcome.verdict()["seen"]["silence"].as_u64() > Some(9), "{}", outcome.verdict());
    assert!(seconds(&outcome, "worst_gap") > 3.0, "{}", outcome.verdict());
    outcome.assert_says(&["given up (no reply)"]);
}

#[test]
fn a_server_that_freezes_for_a_moment_loses_nothing_and_is_told() {
    let scene = Scene::begin(&["--max-gap", "1ms", "--pong-timeout", "60"]);
    scene.servers[0].signal(Signal::STOP);
    scene.probe.until("connections wait", |object| object["waiting"].as_u64() > Some(9));
    scene.servers[0].signal(Signal::CONT);
    scene.probe.holds(CONNECTIONS);
    let outcome = scene.probe.interrupt();
    assert_eq!(outcome.status, Some(1));
    outcome.assert(&[("lost", 0.into()), ("worst_gap", Value::Null)]);
    assert!(outcome.verdict()["stalls"].as_u64() > Some(9), "{}", outcome.verdict());
    assert!(seconds(&outcome, "longest_stall") >= 1.0, "{}", outcome.verdict());
    outcome.assert_says(&["over connections that held", "That is longer than 0.00 s"]);
}

#[test]
fn a_middle_that_cuts_all_is_told_apart_from_servers_that_stop() {
    let scene = Scene::begin(&["--until-quiet", QUIET]);
    scene.balancer.cut();
    let outcome = scene.probe.wait();
    assert_eq!(outcome.status, Some(1));
    outcome.assert(&[("lost", CONNECTIONS.into()), ("cause", "instant".into())]);
    outcome.assert(&[("even_after", true.into())]);
    outcome.assert_says(&[
        "They were connections to all servers",
        "The same servers still answer and were not restarted",
        "The load after it is even",
    ]);
}

#[test]
fn a_limit_of_the_lifetime_is_told_apart_from_an_instant() {
    patiently(|| {
        let server = TestServer::start();
        let balancer = Balancer::limiting(&[server.address()], Duration::from_secs(4));
        let probe = Probe::start(&["hold", &balancer.url("/probe"), "-n", "40"]);
        probe.until("two generations end", |object| object["lost"].as_u64() >= Some(80));
        let outcome = probe.interrupt();
        outcome.assert(&[("cause", "lifetime".into()), ("lost", 40.into())]);
        assert!(outcome.verdict()["losses"].as_u64() >= Some(80), "{}", outcome.verdict());
        outcome.assert_says(&["a limit of the lifetime"]);
    });
}

#[test]
fn one_server_after_the_other_is_a_rolling_update() {
    let mut scene = Scene::begin(&[]);
    let mut replaced = Vec::new();
    for server in &mut scene.servers {
        let address = server.address();
        let losses = scene.probe.losses();
        server.stop();
        replaced.push(restarted(server, address));
        scene.probe.until("they are gone", |object| object["lost"].as_u64() > Some(losses));
        scene.probe.holds(CONNECTIONS);
        // The connections to the next server are to be lost at another instant.
        thread::sleep(Duration::from_secs(2));
    }
    let outcome = scene.probe.interrupt();
    outcome.assert(&[("cause", "rolling".into()), ("not_back", 0.into())]);
    assert_eq!(outcome.verdict()["shares_after"].as_array().map(Vec::len), Some(2));
    outcome.assert_says(&["one server after the other", "None of these answers a new connection"]);
}

/// A new server at the address of one that is gone.
fn restarted(server: &TestServer, address: SocketAddr) -> TestServer {
    server.again().env("LISTEN", address.to_string()).start()
}

#[test]
fn a_server_that_is_not_there_is_told_at_once() {
    let address = own_address();
    let outcome = Probe::run(&["hold", &format!("ws://{address}/probe")]);
    assert_eq!(outcome.status, Some(1));
    outcome.assert(&[("connections", 0.into()), ("refused", 3.into()), ("ok", false.into())]);
    outcome.assert_says(&["no connection could be made. 3 refusals"]);
}

#[test]
fn a_probe_can_be_stopped_before_any_answer_came() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    for (mode, said) in [("hold", "it ended before "), ("spread", "stopped before ")] {
        let probe = Probe::start(&[mode, &url]);
        let _silent = listener.accept().unwrap();
        let outcome = probe.interrupt();
        assert_eq!(outcome.status, Some(3), "{mode}");
        outcome.assert(&[("ok", Value::Null), ("connections", 0.into()), ("refused", 0.into())]);
        outcome.assert_says(&[said]);
    }
}

#[test]
fn servers_of_any_kind_are_pinged_with_ping_frames() {
    let server = TestServer::start();
    let probe = Probe::start(&["hold", &format!("ws://{}/mirror", server.address()), "-n", "10"]);
    probe.holds(10);
    let outcome = probe.interrupt();
    assert_eq!(outcome.status, Some(0));
    outcome.assert(&[("even_after", Value::Null), ("shares_after", serde_json::json!([]))]);
    assert_eq!(outcome.text().split(" in ").next(), Some("none of 10 connections was lost"));
}

#[test]
fn a_reader_of_stdout_that_leaves_ends_the_probe() {
    let server = TestServer::start();
    let mut command = Command::new(programs::folder().join("client"));
    command.args(["hold", &format!("ws://{}/probe", server.address()), "-n", "10", "--json"]);
    let mut client = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(client.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    drop(stdout);
    let output = client.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code().is_some_and(|status| status != 101), "{told}");
    assert!(!told.contains("panicked"), "{told}");
}

#[test]
fn a_full_server_refuses_some() {
    let server = TestServer::builder().env("MAX_CONNECTIONS", "20").start();
    let probe = Probe::start(&["hold", &format!("ws://{}/probe", server.address()), "-n", "30"]);
    probe.until("ten are refused", |object| object["refused"].as_u64() >= Some(10));
    probe.holds(20);
    let outcome = probe.interrupt();
    assert_eq!(outcome.status, Some(1));
    outcome.assert(&[("connections", 20.into()), ("lost", 0.into())]);
    outcome.assert_says(&["10 of 30 connections could never be made", "the server answered 503"]);
}

/// The bound is on the share of a core that a probe takes: 15% for the debug build, with 5% as the
/// goal for a release build. A machine may be too slow for that; the server, which does the same work
/// at the other end, shows how slow.
#[test]
fn five_hundred_connections_are_cheap() {
    let server = TestServer::start();
    let probe = Probe::start(&["hold", &format!("ws://{}/probe", server.address())]);
    probe.holds(500);
    let (before, begun) = ([probe.cpu(), server.cpu()], std::time::Instant::now());
    thread::sleep(Duration::from_secs(5));
    let [own, of_server] = [probe.cpu() - before[0], server.cpu() - before[1]];
    let share = own.as_secs_f64() / begun.elapsed().as_secs_f64();
    assert_eq!(probe.interrupt().status, Some(0));
    let is_cheap = share < 0.15 || own < 10 * of_server;
    assert!(is_cheap, "{:.1}% of a core, {own:?} beside {of_server:?}", share * 100.0);
}

#[test]
#[ignore = "takes a while, and needs 10,100 descriptors"]
fn ten_thousand_connections_are_held() {
    let mut server = TestServer::start();
    let probe =
        Probe::start_alone(&["hold", &format!("ws://{}/probe", server.address()), "-n", "10000"]);
    probe.holds(10_000);
    server.stop();
    probe.until("all are lost", |object| object["lost"].as_u64() >= Some(10_000));
    let _server = restarted(&server, server.address());
    probe.holds(10_000);
    let outcome = probe.interrupt();
    outcome.assert(&[("lost", 10_000.into()), ("not_back", 0.into())]);
}

#[test]
#[ignore = "needs root, for network namespaces"]
fn a_network_that_is_cut_and_heals_is_silence() {
    let network = Network::lay();
    let server = TestServer::builder().env("LISTEN", "0.0.0.0:0").start();
    let url = format!("ws://{}:{}/probe", network.here(), server.address().port());
    let args = ["hold", &url, "-n", "40", "--pong-timeout", "8"];
    let probe = Probe::start_by(&network.wrapper(), &args);
    probe.holds(40);
    network.cut(Cut::FromThere);
    probe.until("all are given up", |object| object["lost"] == 40);
    network.heal(Cut::FromThere);
    probe.holds(40);
    let outcome = probe.interrupt();
    outcome.assert(&[("lost", 40.into()), ("not_back", 0.into())]);
    assert_eq!(outcome.verdict()["seen"]["silence"], 40);
    assert!(seconds(&outcome, "worst_gap") > 8.0, "{}", outcome.verdict());
    outcome.assert_says(&["40 given up (no reply)", "The same server still answers"]);
}
