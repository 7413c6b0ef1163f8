//! `docker compose --profile scale up`: nginx before many servers.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::python::python;

use super::project::{
    AnonymousVolumes, Project, bash, docker, eventually, inspect, logs, wait_for,
};
use super::visitor::{Visitor, Visitors, assert_recorded, get, wait_for_hosts, wait_until_healthy};

const BACKEND: &str = "ws-backend";

/// nginx with another configuration: timeouts of 32 s, longer than the 20 s between two pings of the
/// server, and shorter than the 40 s that the test lets a connection be idle.
const IMPATIENT: &str = "services:
  nginx:
    volumes: ['./nginx.conf:/etc/nginx/nginx.conf:ro']
";

/// Starts nginx and its servers; returns where nginx listens.
#[track_caller]
fn start(project: &Project) -> SocketAddr {
    project.compose(&["up", "-d", "nginx", BACKEND]);
    let nginx = project.address("nginx", 8080);
    wait_until_healthy(nginx);
    nginx
}

fn scale(project: &Project, replicas: usize) {
    let replicas = format!("{BACKEND}={replicas}");
    project.compose(&["up", "-d", "--no-recreate", "--scale", &replicas, "nginx", BACKEND]);
}

fn names(project: &Project) -> BTreeSet<String> {
    let containers = project.containers(BACKEND);
    containers.iter().map(|container| inspect(container, ".Config.Hostname")).collect()
}

#[test]
#[ignore = "needs Docker"]
fn new_connections_spread_over_the_replicas_that_there_are_and_the_others_stay() {
    let mut volumes = AnonymousVolumes::default();
    let project = Project::scaled(&[]);
    let nginx = start(&project);
    assert_eq!(wait_for_hosts(nginx, 3), names(&project));

    let first = inspect(&project.containers(BACKEND)[0], ".Config.Hostname");
    let mut held: Vec<_> = (0..6).map(|_| Visitor::connect(nginx, "/ws").unwrap()).collect();
    let mut hosts = || held.iter_mut().map(Visitor::host).collect::<Vec<_>>();
    let before: Vec<_> = hosts().into_iter().map(Result::unwrap).collect();
    // nginx takes the replica with the fewest connections.
    assert!(before.contains(&first), "{before:?}");
    scale(&project, 5);
    assert_eq!(wait_for_hosts(nginx, 5), names(&project));
    let after = hosts().into_iter().map(|host| host.expect("a replica that stays"));
    assert_eq!(after.collect::<Vec<_>>(), before);
    volumes.of(&project.containers(BACKEND));
    scale(&project, 1);
    assert_eq!(wait_for_hosts(nginx, 1), BTreeSet::from([first.clone()]));
    let kept: Vec<_> = hosts().into_iter().map(Result::ok).collect();
    let of_first = before.into_iter().map(|host| Some(host).filter(|host| *host == first));
    assert_eq!(kept, of_first.collect::<Vec<_>>());
}

#[test]
#[ignore = "needs Docker"]
fn every_path_works_through_nginx_and_the_events_tell_the_client() {
    let project = Project::scaled(&[]).with_env("LOG_MESSAGES", "on");
    let nginx = start(&project);
    let ask = |path: &str, text: &str| Visitor::connect(nginx, path).unwrap().ask(text).unwrap();
    assert_eq!(ask("/", "{\"client_name\": \"me\", \"message\": \"Ping!\"}"), "Pong!");
    assert_eq!(ask("/echo", "hi"), "[RE]: hi");
    assert_eq!(ask("/mirror", "hi"), "hi");
    assert!(ask("/ws", "asdf").ends_with("] asdf"));
    assert!(ask("/status", "?").contains("\"healthy\":true"));
    // One client sees one total, whichever server keeps it.
    for total in 1..=9 {
        assert_eq!(ask("/total", "1"), format!("Server records total={total}"));
    }
    let healthy = get(nginx, "/healthz").unwrap();
    assert!(healthy.starts_with("HTTP/1.1 200 OK") && healthy.ends_with("\r\n\r\nok\n"));
    assert!(get(nginx, "/metrics").unwrap().contains("websockets_"));
    assert!(get(nginx, "/nowhere").unwrap().starts_with("HTTP/1.1 404 "));

    let told =
        || -> String { project.containers(BACKEND).iter().map(|name| logs(name).1).collect() };
    // The engine passes on what containers say a moment later.
    let told = eventually("all connections are told", || {
        Some(told()).filter(|told| told.matches("connected peer=").count() >= 14)
    });
    let peers: Vec<_> =
        told.lines().filter_map(|line| line.split_once("connected peer=")).collect();
    assert_eq!(peers.len(), 14, "{told}");
    assert!(told.contains("Got message: asdf"), "{told}");
    let proxy =
        inspect("websockets-nginx-1", ".NetworkSettings.Networks.websockets_default.IPAddress");
    for (_, rest) in peers {
        let (peer, _) = rest.split_once(' ').unwrap_or((rest, ""));
        assert!(peer.parse::<IpAddr>().is_ok() && peer != proxy, "{peer}");
    }
    // A line a request, but none for those that look after the servers.
    wait_for("websockets-nginx-1", "\"GET /total HTTP/1.1\" 101 from ", 9);
    let (requests, errors) = logs("websockets-nginx-1");
    assert_eq!(requests.matches("\"GET /total HTTP/1.1\" 101 from ").count(), 9, "{requests}");
    assert!(!requests.contains("/healthz") && !requests.contains("/metrics"), "{requests}");
    assert_eq!(
        errors,
        "port 8443 refuses every connection until cert.pem and key.pem are in TLS_DIR\n"
    );
}

#[test]
#[ignore = "needs Docker"]
fn replicas_killed_and_cut_off_and_nginx_restarted_lose_no_acknowledged_ping() {
    let project = Project::scaled(&[]);
    let nginx = start(&project);
    wait_for_hosts(nginx, 3);
    let [killed, cut_off, _] = &project.containers(BACKEND)[..] else { panic!("three") };
    let visitors = Visitors::start(nginx, 9);
    visitors.wait_for_more(10);

    docker(&["kill", "--signal", "KILL", killed]);
    visitors.wait_for_more(10);
    wait_for_hosts(nginx, 2);
    docker(&["start", killed]);
    wait_for_hosts(nginx, 3);

    docker(&["network", "disconnect", "websockets_default", cut_off]);
    visitors.wait_for_more(10);
    wait_for_hosts(nginx, 2);
    docker(&["network", "connect", "--alias", BACKEND, "websockets_default", cut_off]);
    wait_for_hosts(nginx, 3);

    project.compose(&["restart", "nginx"]);
    visitors.wait_for_more(10);
    let visits = visitors.stop();

    let log: String = project
        .containers(BACKEND)
        .iter()
        .map(|container| bash(container, "cat /app/server_logs*.txt"))
        .collect();
    assert_recorded(&visits, &log);
    assert!(visits.iter().any(|visit| !visit.away.is_empty()));
}

#[test]
#[ignore = "needs Docker"]
fn after_a_restart_of_all_replicas_every_client_is_back_at_once() {
    let project = Project::scaled(&[]);
    let nginx = start(&project);
    let visitors = Visitors::start(nginx, 45);
    visitors.wait_for_more(3);
    project.compose(&["restart", BACKEND]);
    visitors.wait_for_more(3);
    let visits = visitors.stop();
    let away: Vec<_> = visits.iter().flat_map(|visit| &visit.away).collect();
    assert!(away.len() >= 45, "{away:?}");
    // One connection a second would take longer. The restart itself takes some seconds.
    assert!(away.iter().all(|away| **away < Duration::from_secs(30)), "{away:?}");
}

#[test]
#[ignore = "needs Docker"]
fn an_idle_connection_outlives_the_timeouts_of_nginx() {
    let dir = tempfile::tempdir().unwrap();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/nginx.conf");
    let model = fs::read_to_string(model).unwrap();
    assert_eq!(model.matches(" 75s;").count(), 2);
    fs::write(dir.path().join("nginx.conf"), model.replace(" 75s;", " 32s;")).unwrap();
    let file = dir.path().join("impatient.yml");
    let conf = dir.path().join("nginx.conf");
    fs::write(&file, IMPATIENT.replace("./nginx.conf", &conf.display().to_string())).unwrap();

    let project = Project::scaled(&[&file]);
    let nginx = start(&project);
    let mut visitor = Visitor::connect(nginx, "/ws").unwrap();
    let host = visitor.host().unwrap();
    visitor.wait_for_protocol_pings(2);
    assert_eq!(visitor.host().unwrap(), host);
}

#[test]
#[ignore = "needs Docker"]
fn a_folder_with_a_certificate_makes_the_edge_secure() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let project = Project::scaled(&[]).with_env("TLS_DIR", &path(""));
    // nginx starts without a certificate, and takes one that comes.
    start(&project);
    let port = project.address("nginx", 8443).port();
    let ask = || ask_securely(port, &cert);
    assert!(!ask().status.success());
    certify(&cert, &key);
    let output = ask();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "[RE]: hi\n", "{output:?}");
    wait_for("websockets-nginx-1", "\"GET /echo HTTP/1.1\" 101", 1);
}

#[test]
#[ignore = "needs Docker"]
fn a_folder_of_a_server_is_read_as_its_owner_and_nginx_says_so() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let tls = dir.path().join("tls");
    let authority = made_by_a_server(&tls);
    let up = |user: Option<&str>| {
        let project = Project::scaled(&[]).with_env("TLS_DIR", &tls.display().to_string());
        let project =
            user.into_iter().fold(project, |project, user| project.with_env("NGINX_USER", user));
        project.compose(&["up", "-d", "nginx", BACKEND]);
        project
    };
    // A server of root made the folder; then one of another user.
    if fs::metadata(&tls).unwrap().uid() == 0 {
        let project = up(None);
        wait_for("websockets-nginx-1", "may not read key.pem in TLS_DIR; chown 10001 key.pem", 1);
        drop(project);
        for file in [".", "cert.pem", "key.pem"] {
            chown(tls.join(file), Some(1234), Some(1234)).unwrap();
        }
    }
    let owner = fs::metadata(&tls).unwrap();
    let owner = format!("{}:{}", owner.uid(), owner.gid());
    let project = up(None);
    wait_for("websockets-nginx-1", &format!("in TLS_DIR; start with NGINX_USER={owner}"), 1);
    drop(project);
    let project = up(Some(&owner));
    wait_until_healthy(project.address("nginx", 8080));
    let port = project.address("nginx", 8443).port();
    let output = ask_securely(port, &authority.display().to_string());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "[RE]: hi\n", "{output:?}");
}

/// Lets a server make its certificate in a folder; returns the file of the authority.
fn made_by_a_server(tls: &Path) -> PathBuf {
    let authority = tls.join("ca.pem");
    let mut server = Command::new(env!("CARGO_BIN_EXE_server"))
        .args(["--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"])
        .arg("--log-file")
        .arg(tls.with_file_name("log"))
        .arg("--tls-dir")
        .arg(tls)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let events = BufReader::new(server.stderr.take().unwrap());
    let is_up = |line: std::io::Result<String>| line.unwrap().contains("listening on wss://");
    assert!(events.lines().any(is_up));
    server.kill().unwrap();
    server.wait().unwrap();
    authority
}

/// One message to nginx over TLS.
fn ask_securely(port: u16, authority: &str) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/docker/wss.py");
    let mut command = python(&script.display().to_string());
    command.args([&format!("wss://localhost:{port}/echo"), authority, "hi"]).output().unwrap()
}

/// A certificate for `localhost` that is its own authority.
fn certify(cert: &str, key: &str) {
    let command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
        -subj /CN=localhost -addext subjectAltName=DNS:localhost -days 2 \
        -keyout \"$1\" -out \"$0\" && chmod -R a+rX \"$(dirname \"$0\")\"";
    let output = Command::new("sh").args(["-c", command, cert, key]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
