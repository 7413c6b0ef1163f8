//! `client spread`: over which servers connections spread.

use std::process::Command;

use serde_json::{Value, json};

use crate::balancer::{Balancer, Policy};
use crate::probe::{Outcome, Probe};
use crate::support::{TestServer, own_address};
use crate::{programs, two_servers};

/// The verdict about a balancer before two servers.
fn behind(policy: Policy, args: &[&str]) -> Outcome {
    let (_servers, addresses) = two_servers();
    let balancer = Balancer::start(policy, &addresses);
    Probe::run(&[&["spread", &balancer.url("/probe"), "-n", "100"], args].concat())
}

/// Numbers of connections by instance, the largest first.
fn counts(outcome: &Outcome) -> Vec<u64> {
    let shares = outcome.verdict()["shares"].as_array().unwrap();
    shares.iter().map(|share| share["connections"].as_u64().unwrap()).collect()
}

#[test]
fn two_servers_on_one_host_are_two() {
    let outcome = behind(Policy::InTurn, &[]);
    assert_eq!((outcome.status, counts(&outcome)), (Some(0), vec![50, 50]));
    outcome.assert(&[
        ("probe", "spread".into()),
        ("ok", true.into()),
        ("connections", 100.into()),
        ("refused", 0.into()),
        ("pattern", "even".into()),
        ("p_value", 1.0.into()),
        ("sticky", Value::Null),
        ("by", "hello".into()),
        ("instances", 2.into()),
    ]);
    outcome.assert_says(&["even: 100 connections went to 2 servers", "Not sticky by address"]);
    let connections = outcome.of_type("connection");
    assert_eq!(connections.len(), 100);
    let first = outcome.verdict()["shares"][0]["instance"].as_str().unwrap();
    let by_first = connections.iter().filter(|connection| connection["instance"] == first);
    assert_eq!(by_first.count(), 50);
}

#[test]
fn four_to_one_is_skewed() {
    let outcome = behind(Policy::FourToOne, &[]);
    assert_eq!((outcome.status, counts(&outcome)), (Some(1), vec![80, 20]));
    outcome.assert(&[("pattern", "skewed".into()), ("ok", false.into()), ("sticky", Value::Null)]);
    assert!(outcome.verdict()["p_value"].as_f64().unwrap() < 1e-6);
    outcome.assert_says(&["80% to ", "20% to ", "less than 0.1%"]);
}

#[test]
fn one_server_is_told_from_an_address_that_decides() {
    let one = [("pattern", Value::from("one")), ("p_value", Value::Null)];
    let outcome = behind(Policy::First, &[]);
    assert_eq!((outcome.status, counts(&outcome)), (Some(1), vec![100]));
    outcome.assert(&one);
    outcome.assert(&[("sticky", Value::Null), ("instances", 1.into())]);
    outcome.assert_says(&["one only: ", "16 addresses of this machine went there as well"]);

    let outcome = behind(Policy::Address, &[]);
    assert_eq!((outcome.status, counts(&outcome)), (Some(0), vec![100]));
    outcome.assert(&one);
    outcome.assert(&[("sticky", "address".into()), ("instances", 2.into())]);
    outcome.assert_says(&["Sticky by address: 48 connections from 16 addresses"]);

    let outcome = behind(Policy::Address, &["--source", "127.0.3.1"]);
    outcome.assert(&[("sticky", Value::Null), ("instances", 1.into())]);
    outcome.assert_says(&["cannot be told from one address"]);

    let outcome = behind(Policy::First, &["--expect", "1"]);
    assert_eq!(outcome.status, Some(0));
}

#[test]
fn a_cookie_that_decides_is_found() {
    let outcome = behind(Policy::Cookie, &[]);
    assert_eq!(counts(&outcome), [50, 50]);
    outcome.assert(&[("pattern", "even".into()), ("sticky", "cookie".into())]);
    outcome.assert_says(&["Sticky by cookie: of 32 connections with 2 different cookies"]);

    // Without the cookie, all go to one server.
    let outcome = behind(Policy::HashedCookie, &[]);
    assert_eq!((outcome.status, counts(&outcome)), (Some(0), vec![100]));
    outcome.assert(&[("pattern", "one".into()), ("sticky", "cookie".into())]);
    outcome.assert(&[("instances", 2.into())]);
}

#[test]
fn servers_that_are_not_at_probe_are_told_apart_by_what_differs() {
    let (_servers, addresses) = two_servers();
    let naming = Balancer::naming(Policy::InTurn, &addresses);
    let setting = Balancer::start(Policy::Cookie, &addresses);
    let url = naming.url("/mirror");
    for (args, by) in [
        (&["spread", &url][..], "header:x-served-by"),
        (&["spread", &url, "--by", "header:X-Served-By"], "header:x-served-by"),
        (&["spread", &setting.url("/mirror")], "cookie:SRV"),
        (&["spread", &setting.url("/mirror"), "--by", "cookie:SRV"], "cookie:SRV"),
    ] {
        let outcome = Probe::run(&[args, &["-n", "60"]].concat());
        outcome.assert(&[("pattern", "even".into()), ("by", by.into()), ("instances", 2.into())]);
        assert_eq!(counts(&outcome), [30, 30], "{args:?}");
    }
    let host = json!([{"instance": rustix::system::uname().nodename().to_str().unwrap(), "connections": 20}]);
    for (args, by) in [(&[][..], "greeting"), (&["--by", "message:[*]"], "message:[*]")] {
        let outcome = Probe::run(&[&["spread", &naming.url("/ws"), "-n", "20"], args].concat());
        outcome.assert(&[("pattern", "one".into()), ("by", by.into()), ("shares", host.clone())]);
    }
}

#[test]
fn tls_changes_nothing() {
    let server = TestServer::builder().secure().start();
    let url = format!("wss://{}/probe", server.secure_address());
    for mode in
        [&["spread", "-n", "20", "--expect", "1"][..], &["hold", "-n", "20", "--for", "12s"]]
    {
        let outcome = Probe::run(&[mode, &[&url, "-k"]].concat());
        assert_eq!(outcome.status, Some(0), "{mode:?}: {}", outcome.text());
        outcome.assert(&[("connections", 20.into()), ("refused", 0.into())]);
    }
}

#[test]
fn servers_that_nothing_identifies_give_no_verdict() {
    let server = TestServer::start();
    let url = format!("ws://{}", server.address());
    for (args, said) in [
        (&[][..], "nothing in the answers tells servers apart"),
        (&["--by", "header:X-Served-By"], "none of 20 answers has the header x-served-by"),
        (&["--by", "message:[*]", "--pong-timeout", "1"], "has the first message that names"),
    ] {
        let outcome = Probe::run(&[&["spread", &url, "-n", "20"], args].concat());
        assert_eq!(outcome.status, Some(3), "{args:?}");
        outcome.assert(&[("ok", Value::Null), ("pattern", Value::Null)]);
        outcome.assert(&[("connections", 20.into())]);
        outcome.assert_says(&[said]);
    }
}

#[test]
fn refused_connections_are_counted_with_their_cause() {
    // No other test listens at this address afterwards.
    let builder = TestServer::builder().at(own_address());
    let server = builder.env("MAX_CONNECTIONS", "30").start();
    let url = format!("ws://{}/probe", server.address());
    let outcome = Probe::run(&["spread", &url, "-n", "50", "--expect", "1"]);
    assert_eq!(outcome.status, Some(1));
    outcome.assert(&[("connections", 30.into()), ("refused", 20.into()), ("ok", false.into())]);
    outcome.assert_says(&["20 connections refused (20 times: the server answered 503"]);
    drop(server);
    let outcome = Probe::run(&["spread", &url, "-n", "500"]);
    assert_eq!(outcome.status, Some(1));
    // After some refusals, the other connections are not tried.
    assert!(outcome.verdict()["refused"].as_u64().unwrap() < 20);
    outcome.assert_says(&["no connection could be made. ", "Connection refused"]);
}

#[test]
fn wrong_use_is_told() {
    for args in [
        &["spread", "-n", "0"][..],
        &["spread", "--by", "ip"],
        &["spread", "--by", "message:x"],
        &["spread", "--source", "here"],
        &["spread", "--expect", "0"],
        &["spread", "-n", "4000000000"],
        &["hold", "--for", "0"],
        &["hold", "--until-quiet", "soon"],
        &["hold", "-n", "4000000000"],
    ] {
        let program = programs::folder().join("client");
        let output = Command::new(program).args(args).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {told}");
        assert!(told.contains("allowed") || told.contains("a pattern has one *"), "{told}");
    }
}
