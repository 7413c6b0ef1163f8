//! The probes behind nginx, HAProxy, Apache and Caddy.

use serde_json::Value;

use crate::middle::{Kind, Middle};
use crate::probe::{Outcome, Probe};
use crate::two_servers;

fn spread(middle: &Middle) -> Outcome {
    Probe::run(&["spread", &format!("{}/probe", middle.url()), "-n", "100"])
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn all_spread_connections_evenly_as_they_come() {
    for kind in Kind::ALL {
        let (_servers, addresses) = two_servers();
        let outcome = spread(&kind.to(&addresses).start());
        assert_eq!(outcome.status, Some(0), "{kind:?}: {}", outcome.text());
        outcome.assert(&[("pattern", "even".into()), ("sticky", Value::Null)]);
    }
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn balancers_that_go_by_the_address_are_found() {
    let (_servers, addresses) = two_servers();
    for middle in [
        Kind::Nginx.to(&addresses).edit("upstream backends {", "upstream backends {\nip_hash;"),
        Kind::Haproxy.to(&addresses).edit("balance roundrobin", "balance source"),
        Kind::Caddy.to(&addresses).edit("lb_policy round_robin", "lb_policy ip_hash"),
    ] {
        let outcome = spread(&middle.clone().start());
        assert_eq!(outcome.status, Some(0), "{middle:?}: {}", outcome.text());
        outcome.assert(&[("pattern", "one".into()), ("sticky", "address".into())]);
    }
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn balancers_that_go_by_a_cookie_are_found() {
    let (_servers, addresses) = two_servers();
    let [first, second] = addresses;
    let haproxy = Kind::Haproxy
        .to(&addresses)
        .route("    cookie SRV insert indirect nocache")
        .edit(&format!("server s0 {first}"), &format!("server s0 {first} cookie one"))
        .edit(&format!("server s1 {second}"), &format!("server s1 {second} cookie two"));
    let caddy = Kind::Caddy.to(&addresses).edit("lb_policy round_robin", "lb_policy cookie");
    for (middle, pattern) in [(haproxy, Some("even")), (caddy, None)] {
        let outcome = spread(&middle.clone().start());
        outcome.assert(&[("sticky", "cookie".into())]);
        // Caddy chooses at random; one run in a hundred then looks skewed.
        if let Some(pattern) = pattern {
            outcome.assert(&[("pattern", pattern.into())]);
        }
    }
    // nginx goes by a cookie of the application. Here nginx itself sets that cookie, another one for
    // each request; without the cookie, nginx takes the servers in turn.
    let nginx = Kind::Nginx
        .to(&addresses)
        .edit("upstream backends {", "upstream backends {\nhash $cookie_sid;")
        .route("add_header Set-Cookie sid=$request_id always;");
    let outcome = spread(&nginx.start());
    assert_eq!(outcome.status, Some(0), "{}", outcome.text());
    outcome.assert(&[("pattern", "even".into()), ("sticky", "cookie".into())]);
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn weights_and_least_connections_show_their_way() {
    let (_servers, addresses) = two_servers();
    let [first, _] = addresses;
    let weighted = Kind::Nginx
        .to(&addresses)
        .edit(&format!("server {first};"), &format!("server {first} weight=4;"));
    let outcome = spread(&weighted.start());
    outcome.assert(&[("pattern", "skewed".into()), ("ok", false.into())]);
    outcome.assert_says(&["80% to ", "20% to "]);
    let least =
        Kind::Nginx.to(&addresses).edit("upstream backends {", "upstream backends {\nleast_conn;");
    spread(&least.start()).assert(&[("pattern", "even".into())]);
    let least = Kind::Haproxy.to(&addresses).edit("balance roundrobin", "balance leastconn");
    spread(&least.start()).assert(&[("pattern", "even".into())]);
}

/// The effect of a reload on forty connections to two servers.
fn reload(kind: Kind, grace: &str) -> Outcome {
    let (_servers, addresses) = two_servers();
    let mut middle = kind.to(&addresses).global(grace).start();
    let url = format!("{}/probe", middle.url());
    let probe = Probe::start(&["hold", &url, "-n", "40", "--until-quiet", "10s"]);
    probe.holds(40);
    middle.reload();
    probe.wait()
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn a_reload_is_told_from_a_restart_of_the_servers() {
    for (kind, grace, seen) in [
        (Kind::Nginx, "worker_shutdown_timeout 1s;", "fin"),
        (Kind::Haproxy, "    hard-stop-after 1s", "fin"),
        (Kind::Caddy, "", "close-1001"),
    ] {
        let outcome = reload(kind, grace);
        assert_eq!(outcome.status, Some(1), "{kind:?}: {}", outcome.text());
        outcome.assert(&[
            ("lost", 40.into()),
            ("losses", 40.into()),
            ("cause", "instant".into()),
            ("not_back", 0.into()),
            ("even_after", true.into()),
        ]);
        // Caddy sends a Close frame to both sides, without a mask to the server. The server's answer
        // to that, 1002, may reach the client first.
        let seen = [seen, "close-1002"].map(|seen| outcome.verdict()["seen"][seen].as_u64());
        assert_eq!(seen.iter().flatten().sum::<u64>(), 40, "{kind:?}: {}", outcome.verdict());
        assert!(seen[0] > Some(10), "{kind:?}: {}", outcome.verdict());
        outcome.assert_says(&[
            "They were connections to all servers",
            "The same servers still answer and were not restarted",
            "that was not this client, so it was something between",
        ]);
    }
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn a_reload_that_keeps_connections_loses_none() {
    let (_servers, addresses) = two_servers();
    let mut middle = Kind::Nginx.to(&addresses).start();
    let url = format!("{}/probe", middle.url());
    let probe = Probe::start(&["hold", &url, "-n", "40", "--for", "15s"]);
    probe.holds(40);
    middle.reload();
    let outcome = probe.wait();
    assert_eq!(outcome.status, Some(0), "{}", outcome.text());
    outcome.assert(&[("lost", 0.into()), ("refused", 0.into())]);
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn a_middle_that_freezes_is_silence() {
    let (_servers, addresses) = two_servers();
    let middle = Kind::Nginx.to(&addresses).start();
    let url = format!("{}/probe", middle.url());
    let probe = Probe::start(&["hold", &url, "-n", "20", "--pong-timeout", "8"]);
    probe.holds(20);
    middle.freeze();
    probe.until("all are given up", |object| object["lost"] == 20);
    middle.thaw();
    probe.holds(20);
    let outcome = probe.interrupt();
    outcome.assert(&[("lost", 20.into()), ("not_back", 0.into())]);
    assert_eq!(outcome.verdict()["seen"]["silence"], 20, "{}", outcome.verdict());
}
