//! `docker compose up --scale`: many clients, and more than one server.

use std::collections::BTreeMap;
use std::fs;

use super::project::{Project, bash_in_volume, docker, eventually, inspect, logs, wait_for};

/// A compose file in which `client01` has no name of its own and pings faster.
const NAMELESS: &str = "services:
  client01:
    environment: { CLIENT_NAME: '', LAG_TIME: '0.05' }
";

fn nameless() -> (tempfile::TempDir, Project) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("nameless.yml");
    fs::write(&file, NAMELESS).unwrap();
    let project = Project::with_overrides(&[&file]);
    (dir, project)
}

/// How many lines of the logs carry each name.
fn by_name(lines: &[String]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in lines {
        let (_, rest) = line.split_once("Recieved from client (\"").expect("a whole line");
        let (name, message) = rest.split_once("\"): ").expect("a whole line");
        assert_eq!(message, "Ping!");
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    counts
}

#[test]
#[ignore = "needs Docker"]
fn twenty_clients_of_one_service_have_twenty_names() {
    let project = Project::new();
    project.compose(&["up", "-d", "--scale", "client01=20"]);
    let containers = project.containers("client01");
    assert_eq!(containers.len(), 20);
    for container in &containers {
        wait_for(container, "Pong!", 1);
    }
    project.stop();
    let mut expected: Vec<_> = (2..=20).map(|number| format!("Client-100-{number}")).collect();
    expected.extend(["Client-100", "Client-200", "Client-300"].map(String::from));
    expected.sort();
    let names: Vec<_> = by_name(&project.log_lines()).into_keys().collect();
    assert_eq!(names, expected);
}

#[test]
#[ignore = "needs Docker"]
fn clients_spread_over_the_servers_that_there_are() {
    let (_dir, project) = nameless();
    project.compose(&["up", "-d", "--scale", "server=3", "--scale", "client01=24"]);
    for client in project.containers("client01") {
        wait_for(&client, "Pong!", 1);
    }
    for server in project.containers("server") {
        // The chance that one of three servers has none of 26 clients is 1 in 12,000.
        wait_for(&server, "INFO connected", 1);
    }
}

#[test]
#[ignore = "needs Docker"]
fn three_servers_lose_no_acknowledged_ping_even_if_one_is_killed() {
    let (_dir, project) = nameless();
    project.compose(&["up", "-d", "--scale", "server=3", "--scale", "client01=12"]);
    let servers = project.containers("server");
    let clients = project.containers("client01");
    assert_eq!((servers.len(), clients.len()), (3, 12));
    for client in &clients {
        wait_for(client, "Pong!", 5);
    }

    // Kill the busiest one: its clients have to find another server, or the same one again.
    let lines = |server: &String| logs(server).0.lines().count();
    let busiest = servers.iter().max_by_key(|server| lines(server)).unwrap();
    docker(&["kill", "--signal", "KILL", busiest]);
    let returned = || {
        let told = clients.iter().map(|client| logs(client).1);
        told.filter(|told| told.contains("connected again after")).count()
    };
    eventually("clients of the killed server are back", || (returned() > 0).then_some(()));
    for client in &clients {
        let before = logs(client).0.matches("Pong!").count();
        wait_for(client, "Pong!", before + 5);
    }
    project.stop();

    let recorded = by_name(&project.log_lines());
    for client in &clients {
        let name = inspect(client, ".Config.Hostname");
        let acknowledged = logs(client).0.matches("Received from server: Pong!").count();
        let recorded = recorded.get(&name).copied().unwrap_or(0);
        assert!(acknowledged >= 10, "{name}: {acknowledged}");
        assert!(recorded >= acknowledged, "{name}: {recorded} recorded, {acknowledged} told");
    }
    let files = bash_in_volume("websockets_logs", "ls");
    assert_eq!(files.lines().count(), 3, "{files}");
}
