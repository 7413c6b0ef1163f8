//! `docker compose --profile tls up`: wss:// beside the plain pair.

use std::process::Command;

use super::project::{Project, bash, docker, inspect, logs, wait_for};

const SERVER: &str = "websockets-secure-server-1";
const CLIENT: &str = "websockets-secure-client-1";

/// What browsers refuse to connect to, of the ports above 6000 (WHATWG Fetch, "bad port").
const BLOCKED: [u16; 10] = [6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080];

#[test]
#[ignore = "needs Docker"]
fn every_published_port_is_one_that_browsers_take() {
    let project = Project::new().with_env("COMPOSE_PROFILES", "*");
    let config = project.compose(&["config", "--format", "json"]);
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    let services = config["services"].as_object().unwrap().values();
    let ports = services.filter_map(|service| service["ports"].as_array()).flatten();
    let published: Vec<_> = ports.map(|port| port["published"].as_str().unwrap()).collect();
    assert!(published.len() >= 5, "{published:?}");
    for range in published {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let range = first.parse::<u16>().unwrap()..=last.parse().unwrap();
        assert!(!BLOCKED.iter().any(|blocked| range.contains(blocked)), "{range:?}");
    }
}

#[test]
#[ignore = "needs Docker"]
fn a_secure_pair_works_beside_the_plain_one() {
    let project = Project::new()
        .with_env("COMPOSE_PROFILES", "tls")
        .with_env("PLAIN_PORT", "0")
        .with_env("TLS_PORT", "0");
    project.compose(&["up", "-d"]);
    wait_for(CLIENT, "Received from server: Pong!", 2);
    wait_for("websockets-client01-1", "Received from server: Pong!", 1);
    assert!(bash(SERVER, "cat /app/server_logs.txt").contains("(\"Client-Secure\"): Ping!"));
    let (_, told) = logs(SERVER);
    assert!(told.contains("created a development authority: /tls/ca.pem"), "{told}");
    // The volume that nginx and the client mount holds one key, which the client cannot read.
    let keys = bash(SERVER, "cd /tls && grep -l 'PRIVATE KEY' .[!.]* * | xargs stat -c '%n %a %U'");
    assert_eq!(keys, "key.pem 600 app\n");
    assert_ne!(inspect(CLIENT, ".Config.User"), inspect(SERVER, ".Config.User"));
    let writable = inspect(CLIENT, "range .Mounts}}{{.Destination}} {{.RW}}{{end");
    assert_eq!(writable, "/tls false");

    // Outside the containers, the port is published and the authority can be read.
    let dir = tempfile::tempdir().unwrap();
    let authority = dir.path().join("ca.pem");
    docker(&["cp", &format!("{SERVER}:/tls/ca.pem"), authority.to_str().unwrap()]);
    let port = project.address("secure-server", 10443).port();
    let output = Command::new("curl")
        .args(["-sS", "--cacert", authority.to_str().unwrap()])
        .arg(format!("https://localhost:{port}/healthz"))
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"ok\n", "{}", String::from_utf8_lossy(&output.stderr));

    // A server that is made anew keeps its authority, so that its clients come back.
    project.compose(&["up", "-d", "--force-recreate", "--no-deps", "secure-server"]);
    wait_for(CLIENT, "connected again after", 1);
    let (_, told) = logs(SERVER);
    assert!(!told.contains("development authority"), "{told}");
    project.stop();
    for container in [SERVER, CLIENT] {
        assert_eq!(inspect(container, ".State.ExitCode"), "0", "{container}");
    }
}
