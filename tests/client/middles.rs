//! Pings through nginx, HAProxy, Apache and Caddy.

use std::thread;

use rustix::process::Signal;
use serde_json::Value;

use crate::client::{Client, command, json, next, seconds};
use crate::middle::{Builder, Kind, Middle};
use crate::real_server::RealServer;

/// A server with these flags, and a middle with these settings in front of it. The middle has to be
/// dropped first: a server that stops waits for its connections.
pub(crate) fn behind_middle(
    kind: Kind,
    flags: &[&str],
    set: impl FnOnce(Builder) -> Builder,
) -> (RealServer, Middle) {
    let server = RealServer::start(flags);
    let middle = set(kind.to(&[server.address()])).start();
    (server, middle)
}

/// The verdict of a client that is stopped.
#[track_caller]
fn verdict(client: &Client) -> Value {
    client.signal(Signal::INT);
    next(client, "verdict")
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn pings_pass_whatever_stands_between() {
    for kind in Kind::ALL {
        let (_server, middle) = behind_middle(kind, &[], |builder| builder.idle(30));
        for flag in ["-q", "-p"] {
            let args = [&middle.url(), flag, "-c", "20", "-i", "0.01", "--json"];
            let output = command(&[]).args(args).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{kind:?} {flag}: {output:?}");
            let last = output.stdout.trim_ascii().rsplit(|byte| *byte == b'\n').next().unwrap();
            let verdict: Value = serde_json::from_slice(last).unwrap();
            let counts = ["sent", "received", "outages"].map(|name| verdict[name].as_u64());
            assert_eq!(counts, [Some(20), Some(20), Some(0)], "{kind:?} {flag}: {verdict}");
        }
    }
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn a_cut_after_idle_seconds_is_told_as_an_idle_timeout() {
    thread::scope(|scope| {
        for kind in Kind::ALL {
            scope.spawn(move || assert_idle_timeout(kind));
        }
    });
}

fn assert_idle_timeout(kind: Kind) {
    let (_server, middle) = behind_middle(kind, &[], |builder| builder.idle(2));
    let client = json(&middle.url(), &["-i", "30"]);
    // Two of three are enough for the verdict, on a machine that is busy for a moment.
    for _ in 0..3 {
        let outage = next(&client, "outage");
        assert_eq!(outage["seen"], "fin", "{kind:?}: {outage}");
        let silent = seconds(&outage, "silent_received");
        assert!((1.9..12.0).contains(&silent), "{kind:?}: {outage}");
    }
    let verdict = verdict(&client);
    assert_eq!(verdict["cause"], "idle", "{kind:?}: {verdict}");
}

/// Fails unless an outage began as this program ends a connection. Caddy sends both sides a Close
/// frame; that to the server lacks its mask (Caddy 2.6), and the server's answer, 1002, may reach the
/// client first.
#[track_caller]
fn assert_seen(kind: Kind, outage: &Value) {
    let expected = if kind == Kind::Caddy { &["close-1001", "close-1002"][..] } else { &["fin"] };
    assert!(expected.contains(&outage["seen"].as_str().unwrap()), "{kind:?}: {outage}");
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn a_restart_of_the_middle_is_an_outage() {
    for kind in Kind::ALL {
        let (_server, mut middle) = behind_middle(kind, &[], |builder| builder.idle(30));
        let client = json(&middle.url(), &["-i", "0.05"]);
        next(&client, "reply");
        middle.stop();
        middle.start_again();
        let outage = next(&client, "outage");
        assert_seen(kind, &outage);
        assert_eq!(outage["over"], true, "{kind:?}: {outage}");
        let verdict = verdict(&client);
        assert_eq!(verdict["outages"], 1, "{kind:?}: {verdict}");
    }
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn a_reload_cuts_as_the_middle_is_told_to() {
    for kind in Kind::ALL {
        let (_server, mut middle) = behind_middle(kind, &[], |builder| match kind {
            Kind::Nginx => builder.global("worker_shutdown_timeout 1s;"),
            Kind::Haproxy => builder.global("hard-stop-after 1s"),
            Kind::Apache | Kind::Caddy => builder,
        });
        let client = json(&middle.url(), &["-i", "0.05"]);
        next(&client, "reply");
        middle.reload();
        match kind {
            // Apache keeps the connection for as long as client and server do.
            Kind::Apache => (0..10).for_each(|_| _ = next(&client, "reply")),
            Kind::Caddy => assert_seen(kind, &next(&client, "outage")),
            Kind::Nginx | Kind::Haproxy => {
                let outage = next(&client, "outage");
                assert_seen(kind, &outage);
                // Cut a second after the reload, although busy.
                assert!(seconds(&outage, "age") >= 0.9, "{kind:?}: {outage}");
                // Cut while busy, not after the 60 s without traffic.
                assert!(seconds(&outage, "silent_received") < 20.0, "{kind:?}: {outage}");
            }
        }
        let outages = u64::from(kind != Kind::Apache);
        assert_eq!(verdict(&client)["outages"], outages, "{kind:?}");
    }
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn a_middle_that_freezes_is_silence() {
    for kind in Kind::ALL {
        let (_server, middle) = behind_middle(kind, &[], |builder| builder.idle(30));
        let client = json(&middle.url(), &["-i", "0.05", "-W", "1"]);
        next(&client, "reply");
        middle.freeze();
        client.stderr.next();
        assert!(client.stderr.next_event().contains("no Pong within 1s"), "{kind:?}");
        middle.thaw();
        let outage = next(&client, "outage");
        assert_eq!((&outage["seen"], &outage["over"]), (&"silence".into(), &true.into()));
        assert!(seconds(&outage, "length") >= 1.0, "{kind:?}: {outage}");
    }
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn connections_go_to_each_server_in_turn_and_to_another_after_a_reload() {
    for kind in Kind::ALL {
        let servers = [(); 3].map(|()| RealServer::start(&[]));
        let addresses = servers.each_ref().map(RealServer::address);
        let pings = |server: &RealServer| server.log().lines().count();
        let mut middle = kind.to(&addresses[..2]).start();
        (0..4).for_each(|_| ping_once(&middle));
        assert_eq!(servers.each_ref().map(pings), [2, 2, 0], "{kind:?}");

        middle.reload_with(|_| kind.to(&addresses[2..]));
        while pings(&servers[2]) < 2 {
            ping_once(&middle);
        }
    }
}

fn ping_once(middle: &Middle) {
    let output = command(&[]).args([&middle.url(), "-q", "-c", "1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn a_middle_that_drops_the_upgrade_is_told_as_such() {
    for kind in Kind::ALL {
        let (_server, middle) = behind_middle(kind, &[], Builder::without_upgrade);
        let url = format!("http://{}", middle.address());
        let output = command(&[]).args([&url, "-c", "2"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{kind:?}: {output:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        // 200 is for the server's page, which is for requests without an upgrade.
        assert!(told.contains(": the server answered 200 OK; "), "{kind:?}: {told}");
    }
}
