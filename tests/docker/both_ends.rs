//! `deploy/both-ends.yml`: the server behind a proxy, and the client before it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Output};

use super::project::{Project, eventually, free_ports};
use super::visitor::{Visitor, get};

/// The project of the file; taken down when dropped.
struct BothEnds {
    ports: [u16; 2],
    // Its images are those of the pair, and only one test uses the engine at a time.
    _pair: Project,
}

impl BothEnds {
    fn compose(&self, args: &[&str]) -> Output {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let [proxy, metrics] = self.ports.map(|port| port.to_string());
        let mut command = Command::new("docker");
        command.current_dir(root).args(["compose", "-f", "deploy/both-ends.yml"]).args(args);
        for name in ["BIND", "SERVER_URL", "SERVER_IMAGE", "CLIENT_IMAGE", "NGINX_IMAGE"] {
            command.env_remove(name);
        }
        command.env("NGINX_PORT", proxy).env("METRICS_PORT", metrics).output().unwrap()
    }
}

impl Drop for BothEnds {
    fn drop(&mut self) {
        let down = self.compose(&["down", "-v", "-t", "2"]);
        if !down.status.success() {
            eprintln!("not taken down: docker compose -f deploy/both-ends.yml down -v");
        }
    }
}

#[test]
#[ignore = "needs Docker"]
fn the_client_watches_the_way_through_the_proxy_and_the_server_shows_what_arrived() {
    // The ports are to be free when no other test uses the engine.
    let pair = Project::new();
    let both = BothEnds { ports: free_ports(), _pair: pair };
    let up = both.compose(&["up", "-d"]);
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    let [proxy, metrics] = both.ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    eventually("replies through the proxy", || {
        let told = get(metrics, "/metrics").ok()?;
        let replies = told.lines().find_map(|line| {
            line.strip_prefix("websockets_client_pings_total{result=\"received\"} ")
        });
        (replies? != "0" && told.contains("\nwebsockets_client_up 1")).then_some(())
    });
    let mut probe = Visitor::connect(proxy, "/probe").unwrap();
    let hello = probe.text().unwrap();
    assert!(hello.starts_with("{\"hello\":1,"), "{hello}");
    assert!(hello.contains("[\"X-Forwarded-For\",\""), "{hello}");
    assert!(!hello.contains(&format!("\"peer\":\"{}", Ipv4Addr::LOCALHOST)), "{hello}");
}
