//! What stands between client and server: nginx, HAProxy, Apache and Caddy.

use std::fs;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Client, command};
use crate::fake::Port;
use crate::middle::{Kind, Middle};
use crate::real_server::Running;

/// A server behind a middle.
struct Way {
    middle: Middle,
    server: Running,
    _folder: TempDir,
}

impl Way {
    /// A way with a middle that cuts after this many idle seconds.
    fn lay(kind: Kind, idle: u32) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), Port::reserve());
        let server = Running::start(port.address(), &folder, &[]);
        let middle = kind.to(&[port.address()]).idle(idle).start();
        Self { middle, server, _folder: folder }
    }

    fn end(self) {
        drop(self.middle);
        self.server.stop();
    }
}

/// A client that prints JSON.
fn json(url: &str, args: &[&str]) -> Client {
    let mut command = command(&[]);
    command.arg("--json").arg(url).args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    Client::of(command.spawn().unwrap())
}

/// The next object of this type.
#[track_caller]
fn next(client: &Client, name: &str) -> Value {
    loop {
        let object: Value = serde_json::from_str(&client.stdout.next()).unwrap();
        if object["type"] == name {
            return object;
        }
    }
}

fn seconds(object: &Value, name: &str) -> f64 {
    object[name].as_f64().unwrap_or_else(|| panic!("{name} in {object}"))
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
        let way = Way::lay(kind, 30);
        for flag in ["-q", "-p"] {
            let url = way.middle.url();
            let args = [&url, flag, "-c", "20", "-i", "0.01", "--json"];
            let output = command(&[]).args(args).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{kind:?} {flag}: {output:?}");
            let last = output.stdout.trim_ascii().rsplit(|byte| *byte == b'\n').next().unwrap();
            let verdict: Value = serde_json::from_slice(last).unwrap();
            let counts = ["sent", "received", "outages"].map(|name| verdict[name].as_u64());
            assert_eq!(counts, [Some(20), Some(20), Some(0)], "{kind:?} {flag}: {verdict}");
        }
        way.end();
    }
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn a_cut_after_idle_seconds_is_told_as_an_idle_timeout() {
    for kind in Kind::ALL {
        let way = Way::lay(kind, 1);
        let client = json(&way.middle.url(), &["-i", "30"]);
        for _ in 0..2 {
            let outage = next(&client, "outage");
            assert_eq!(outage["seen"], "fin", "{kind:?}: {outage}");
            let silent = seconds(&outage, "silent_received");
            // Apache looks at its connections once a second only.
            assert!((0.9..10.0).contains(&silent), "{kind:?}: {outage}");
        }
        assert_eq!(verdict(&client)["cause"], "idle", "{kind:?}");
        way.end();
    }
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn a_restart_of_the_middle_is_an_outage() {
    for kind in Kind::ALL {
        let mut way = Way::lay(kind, 30);
        let client = json(&way.middle.url(), &["-i", "0.05"]);
        next(&client, "reply");
        way.middle.stop();
        way.middle.start_again();
        let outage = next(&client, "outage");
        // Caddy says goodbye for the server.
        let seen = if kind == Kind::Caddy { "close-1001" } else { "fin" };
        assert_eq!(outage["seen"], seen, "{kind:?}: {outage}");
        assert_eq!(outage["over"], true, "{kind:?}: {outage}");
        let verdict = verdict(&client);
        assert_eq!(verdict["outages"], 1, "{kind:?}: {verdict}");
        way.end();
    }
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn a_reload_cuts_as_the_middle_is_told_to() {
    for kind in Kind::ALL {
        let (folder, port) = (tempfile::tempdir().unwrap(), Port::reserve());
        let server = Running::start(port.address(), &folder, &[]);
        let middle = kind.to(&[port.address()]);
        let mut middle = match kind {
            Kind::Nginx => middle.global("worker_shutdown_timeout 1s;").start(),
            Kind::Haproxy => middle.global("hard-stop-after 1s").start(),
            Kind::Apache | Kind::Caddy => middle.start(),
        };
        let client = json(&middle.url(), &["-i", "0.05"]);
        next(&client, "reply");
        middle.reload();
        match kind {
            // Apache keeps the connection for as long as its ends do.
            Kind::Apache => (0..10).for_each(|_| _ = next(&client, "reply")),
            Kind::Caddy => assert_eq!(next(&client, "outage")["seen"], "close-1001"),
            Kind::Nginx | Kind::Haproxy => {
                let outage = next(&client, "outage");
                assert_eq!(outage["seen"], "fin", "{kind:?}: {outage}");
                // However busy: a second after the reload.
                assert!(seconds(&outage, "age") >= 0.9, "{kind:?}: {outage}");
                assert!(seconds(&outage, "silent_received") < 0.9, "{kind:?}: {outage}");
            }
        }
        let outages = u64::from(kind != Kind::Apache);
        assert_eq!(verdict(&client)["outages"], outages, "{kind:?}");
        drop(middle);
        server.stop();
    }
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn a_middle_that_stands_still_is_silence() {
    for kind in Kind::ALL {
        let way = Way::lay(kind, 30);
        let client = json(&way.middle.url(), &["-i", "0.05", "-W", "1"]);
        next(&client, "reply");
        way.middle.freeze();
        client.stderr.next();
        assert!(client.stderr.next_event().contains("no Pong within 1s"), "{kind:?}");
        way.middle.thaw();
        let outage = next(&client, "outage");
        assert_eq!((&outage["seen"], &outage["over"]), (&"silence".into(), &true.into()));
        assert!(seconds(&outage, "length") >= 1.0, "{kind:?}: {outage}");
        way.end();
    }
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn connections_go_to_each_server_in_turn_and_to_another_after_a_reload() {
    for kind in Kind::ALL {
        let ports = [(); 3].map(|()| Port::reserve());
        let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let servers: Vec<_> = ports
            .iter()
            .zip(&folders)
            .map(|(port, folder)| Running::start(port.address(), folder, &[]))
            .collect();
        let addresses = ports.each_ref().map(Port::address);
        let mut middle = kind.to(&addresses[..2]).start();
        (0..4).for_each(|_| ping_once(&middle));
        assert_eq!(folders.each_ref().map(pings), [2, 2, 0], "{kind:?}");

        middle.reload_with(|_| kind.to(&addresses[2..]));
        while pings(&folders[2]) < 2 {
            ping_once(&middle);
        }
        drop(middle);
        servers.into_iter().for_each(Running::stop);
    }
}

fn ping_once(middle: &Middle) {
    let output = command(&[]).args([&middle.url(), "-q", "-c", "1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// The number of pings in the log of a server.
fn pings(folder: &TempDir) -> usize {
    let log = fs::read_to_string(folder.path().join("server_logs.txt")).unwrap();
    log.lines().count()
}

#[test]
#[ignore = "needs nginx, HAProxy, Apache and Caddy"]
fn a_middle_that_drops_the_upgrade_is_told_as_such() {
    let (folder, port) = (tempfile::tempdir().unwrap(), Port::reserve());
    let server = Running::start(port.address(), &folder, &[]);
    for kind in Kind::ALL {
        let middle = kind.to(&[port.address()]);
        let middle = match kind {
            Kind::Nginx => middle.edit("proxy_set_header Upgrade $http_upgrade;", ""),
            Kind::Haproxy => middle.route("http-request del-header Upgrade"),
            Kind::Apache => middle.edit(" upgrade=websocket", ""),
            Kind::Caddy => middle.route("header_up -Upgrade"),
        };
        let middle = middle.start();
        let url = format!("http://{}", middle.address());
        let output = command(&[]).args([&url, "-w", "1"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{kind:?}: {output:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        // The server's page, which it gives to whoever does not ask for an upgrade.
        assert!(told.contains(": the server answered 200 OK; "), "{kind:?}: {told}");
    }
    server.stop();
}
