//! `docker compose up` with nothing configured, and the next commands of its users.

use std::time::Duration;

use super::project::{Project, bash, docker, eventually, inspect, logs, wait_for};

const SERVER: &str = "websockets-server-1";
const CLIENTS: [(&str, &str, u32); 3] = [
    ("websockets-client01-1", "Client-100", 2),
    ("websockets-client02-1", "Client-200", 3),
    ("websockets-client03-1", "Client-300", 4),
];

fn lines_of<'a>(log: &'a str, name: &str) -> Vec<&'a str> {
    let rest = format!("] Recieved from client (\"{name}\"): Ping!");
    log.lines().filter(|line| line.len() == 21 + rest.len() - 1 && line.ends_with(&rest)).collect()
}

/// The seconds since midnight on a line.
fn second_of_day(line: &str) -> u32 {
    let part = |from: usize| line[from..from + 2].parse::<u32>().unwrap();
    part(12) * 3600 + part(15) * 60 + part(18)
}

/// The seconds from each line to the next.
fn pauses(lines: &[&str]) -> Vec<u32> {
    let pause = |pair: &[&str]| (second_of_day(pair[1]) + 86_400 - second_of_day(pair[0])) % 86_400;
    lines.windows(2).map(pause).collect()
}

#[test]
#[ignore = "needs Docker"]
fn three_clients_ping_one_server() {
    let project = Project::new();
    project.compose(&["up", "-d"]);
    for (client, name, lag) in CLIENTS {
        wait_for(SERVER, name, 3);
        wait_for(client, "Received from server: Pong!", 3);
        let (log, _) = logs(SERVER);
        let lines = lines_of(&log, name);
        assert!(lines.len() >= 3, "{log}");
        let all = pauses(&lines);
        assert!(all.iter().all(|pause| *pause >= lag), "{name} every {lag} s: {log}");
        // A machine that stalls makes some of them longer: most are not.
        eventually(&format!("{name} pings every {lag} s"), || {
            let (log, _) = logs(SERVER);
            let all = pauses(&lines_of(&log, name));
            let kept = all.iter().filter(|pause| (lag..=lag + 1).contains(*pause)).count();
            (2 * kept > all.len()).then_some(())
        });
    }

    // The file has the lines that `docker logs` shows on stdout, except for the last moment.
    let (shown, _) = logs(SERVER);
    let file = bash(SERVER, "cd /app; cat server_logs.txt");
    assert!(file.starts_with(&shown) && shown.ends_with('\n'), "{file}\n---\n{shown}");

    let published = docker(&["port", SERVER]);
    assert_eq!(published.lines().count(), 1, "{published}");
    assert!(published.starts_with("8765/tcp -> 127.0.0.1:"), "{published}");
    assert_eq!(inspect(SERVER, ".State.Health.Status"), "healthy");

    let took = project.stop();
    // A container that has to be killed takes 10 s, and its status is not 0.
    assert!(took < Duration::from_secs(60), "{took:?}");
    for container in [SERVER].into_iter().chain(CLIENTS.map(|(client, ..)| client)) {
        assert_eq!(inspect(container, ".State.ExitCode"), "0", "{container}");
    }
    for (client, ..) in CLIENTS {
        let (shown, _) = logs(client);
        let statistics = shown.split_once("--- ws://server:8765 ping statistics ---").unwrap().1;
        assert!(statistics.contains(" 0 lost (0%), ") && statistics.contains("min/avg/max/p99"));
    }
    // Health checks leave no line behind.
    let (_, told) = logs(SERVER);
    assert_eq!(told.matches("INFO connected").count(), 3, "{told}");
}

#[test]
#[ignore = "needs Docker"]
fn every_client_reports_a_restart_once_and_goes_on() {
    let project = Project::new();
    project.compose(&["up", "-d"]);
    for (client, ..) in CLIENTS {
        wait_for(client, "Pong!", 1);
    }
    project.compose(&["restart", "server"]);
    for (client, ..) in CLIENTS {
        wait_for(client, "connected again after", 1);
        let before = logs(client).0.matches("Pong!").count();
        wait_for(client, "Pong!", before + 2);
        let (_, told) = logs(client);
        assert_eq!(told.matches("lost the connection").count(), 1, "{told}");
        assert_eq!(told.matches("connected again after").count(), 1, "{told}");
    }
}

#[test]
#[ignore = "needs Docker"]
fn a_client_without_a_server_waits_and_connects_when_it_comes() {
    let project = Project::new();
    project.compose(&["up", "-d", "--no-deps", "client01"]);
    let (client, name, _) = CLIENTS[0];
    wait_for(client, "cannot connect to ws://server:8765", 1);
    project.compose(&["up", "-d", "server"]);
    wait_for(client, "connected to ws://server:8765 after", 1);
    wait_for(SERVER, name, 2);
    assert_eq!(inspect(client, ".State.Status"), "running");
    assert_eq!(inspect(client, ".RestartCount"), "0");
}

#[test]
#[ignore = "needs Docker"]
fn the_log_outlives_its_containers_but_not_its_volume() {
    let project = Project::new();
    let up = || {
        project.compose(&["up", "-d"]);
        wait_for(SERVER, "Client-100", 1);
        let first = bash(SERVER, "cat server_logs.txt");
        first.lines().next().unwrap_or_default().to_owned()
    };
    let first = up();
    project.compose(&["down"]);
    assert_eq!(up(), first);
    project.compose(&["down", "-v"]);
    assert_ne!(up(), first);
}
