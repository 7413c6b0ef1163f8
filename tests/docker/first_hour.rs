//! The first hour of a person who has cloned the project and types `docker compose up`.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::project::{Project, bash, docker, eventually, inspect, logs, wait_for};
use super::visitor::{Visitor, get};

const IMAGES: [&str; 2] = ["websockets-server", "websockets-client"];

#[test]
#[ignore = "needs Docker"]
fn up_builds_each_image_once_and_a_second_up_leaves_all_as_it_is() {
    let nameless = || docker(&["images", "-q", "--filter", "dangling=true"]);
    let project = Project::new();
    let before = nameless();
    docker(&[&["rmi"][..], &IMAGES].concat());
    let told = project.progress(&["--progress", "plain", "up", "-d"]);
    for image in IMAGES {
        assert_eq!(told.matches(&format!("/library/{image} done")).count(), 1, "{told}");
    }
    for trouble in ["pull", "denied", "arning"] {
        assert!(!told.contains(trouble), "{trouble}: {told}");
    }
    let ids = || docker(&["ps", "-aq", "--no-trunc"]);
    let running = ids();
    let told = project.progress(&["up", "-d"]);
    assert!(!told.contains("Recreate") && !told.contains("Created"), "{told}");
    assert_eq!(ids(), running);
    assert_eq!(nameless(), before, "an image without a name is left");
}

#[test]
#[ignore = "needs Docker"]
fn the_page_can_be_opened_and_the_output_says_where() {
    let project = Project::new();
    project.compose(&["up", "-d", "server"]);
    wait_for("websockets-server-1", "docker compose port server 8765", 1);
    let published = project.address("server", 8765);
    assert!((8765..=8774).contains(&published.port()), "{published}");
    eventually("the page", || {
        let reply = get(published, "/").ok()?;
        reply.contains("<title>WebSocket ping/pong</title>").then_some(())
    });
    // Further servers get ports of their own.
    project.compose(&["up", "-d", "--scale", "server=3", "server"]);
    let ports: BTreeSet<_> =
        (1..=3).map(|number| project.address_of("server", number, 8765).port()).collect();
    assert_eq!(ports.len(), 3, "{ports:?}");
}

#[test]
#[ignore = "needs Docker"]
fn one_server_can_have_a_port_of_your_choice_that_stays() {
    let project = Project::new();
    let [port, _] = super::project::free_ports();
    let project = project.with_env("SERVER_PORT", &port.to_string());
    for up in [&["up", "-d", "server"][..], &["restart", "server"]] {
        project.compose(up);
        assert_eq!(project.address("server", 8765).port(), port);
    }
}

#[test]
#[ignore = "needs Docker"]
fn variables_of_the_shell_reach_the_containers() {
    let project = Project::new()
        .with_env("DEFAULT_SERVICE", "/echo")
        .with_env("LAG_TIME", "0.1")
        .with_env("LOG_KEEP", "7")
        .with_env("LOG_MAX_BYTES", "1M")
        .with_env("LOG_MESSAGES", "on")
        .with_env("REPLY_DELAY", "0.3")
        .with_env("RUST_LOG", "info,client=off")
        .with_env("TZ", "Asia/Tokyo");
    project.compose(&["up", "-d"]);
    let server = "websockets-server-1";
    // All three clients reach the echo, and go on with Ping frames, which are no messages.
    for name in ["Client-100", "Client-200", "Client-300"] {
        wait_for(server, name, 1);
    }
    wait_for(server, "Got message: ", 3);
    let variables = inspect("websockets-client01-1", ".Config.Env");
    assert!(variables.contains("LAG_TIME=0.1"), "{variables}");
    let variables = inspect(server, ".Config.Env");
    for set in ["LOG_KEEP=7", "LOG_MAX_BYTES=1M"] {
        assert!(variables.contains(set), "{variables}");
    }
    let start = Instant::now();
    let mut visitor = Visitor::connect(project.address("server", 8765), "/").unwrap();
    assert_eq!(visitor.ask("hi").unwrap(), "[RE]: hi");
    assert!(start.elapsed() >= Duration::from_millis(300), "REPLY_DELAY");
    let (_, told) = logs("websockets-client01-1");
    assert!(!told.contains("INFO"), "RUST_LOG: {told}");
    let hour = |zone: &str| bash(server, &format!("TZ={zone} date +%H"));
    let (_, told) = logs(server);
    // `UTC-8` is the hour before that of Tokyo, which may have ended since (POSIX counts westwards).
    let newest = told.lines().last().unwrap();
    let hours = [hour("Asia/Tokyo"), hour("UTC-8")];
    assert!(hours.iter().any(|hour| hour.trim() == &newest[11..13]), "{newest}");
}

#[test]
#[ignore = "needs Docker"]
fn ctrl_c_ends_every_client_with_its_statistics() {
    use std::os::unix::process::CommandExt;

    const CLIENTS: [&str; 3] = ["client01", "client02", "client03"];
    let name = |client: &str| format!("websockets-{client}-1");
    let project = Project::new().with_env("LAG_TIME", "0.2");
    loop {
        // A terminal's Ctrl-C reaches all processes of the foreground.
        let mut up = project
            .command(&["up", "--no-color"])
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for client in CLIENTS {
            eventually(client, || {
                let found = docker(&["ps", "-aq", "--filter", &format!("name={}", name(client))]);
                let is_up = || logs(&name(client)).0.matches("Pong!").count() >= 2;
                (!found.is_empty() && is_up()).then_some(())
            });
        }
        kill_process_group(Pid::from_child(&up), Signal::INT).unwrap();
        up.wait().unwrap();
        // On a busy machine, Compose takes the one Ctrl-C for two: it kills what still runs, or
        // leaves at once.
        project.compose(&["stop"]);
        let is_killed = |client: &str| inspect(&name(client), ".State.ExitCode").trim() == "137";
        if !CLIENTS.iter().any(|client| is_killed(client)) {
            break;
        }
        project.compose(&["down"]);
    }
    // Some versions of Compose show nothing after Ctrl-C: this command of the README does.
    let shown = project.compose(&["logs", "--tail", "4", "client01", "client02", "client03"]);
    for statistics in ["--- ws://server:8765 ping statistics ---", " 0 lost (0%), "] {
        assert_eq!(shown.matches(statistics).count(), 3, "{shown}");
    }
}

#[test]
#[ignore = "needs Docker"]
fn a_memory_limit_holds_every_container() {
    let project = Project::new();
    project.compose(&["up", "-d"]);
    for service in ["server", "client01", "client02", "client03"] {
        let limit = inspect(&format!("websockets-{service}-1"), ".HostConfig.Memory");
        assert!(limit.parse::<u64>().unwrap() > 0, "{service}");
    }
    let mut visitor = Visitor::connect(project.address("server", 8765), "/echo").unwrap();
    assert_eq!(visitor.ask("hi").unwrap(), "[RE]: hi");
}
