//! The images: small, without a root user, with what their users need.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use super::project::{Project, bash, docker, inspect, logs, wait_for};

#[test]
#[ignore = "needs Docker"]
fn the_images_are_small_and_run_as_nobody() {
    let _project = Project::new();
    for (image, most, user) in [
        ("websockets-server", 10_000_000, "10001:10001"),
        // Another user than the server's, so that the client cannot read the private keys.
        ("websockets-client", 5_000_000, "10002:10002"),
    ] {
        let size: u64 = inspect(image, ".Size").parse().unwrap();
        assert!(size <= most, "{image}: {size} bytes");
        assert_eq!(inspect(image, ".Config.User"), user);
        let label = |name| {
            inspect(image, &format!("index .Config.Labels \"org.opencontainers.image.{name}\""))
        };
        assert_eq!(label("version"), env!("CARGO_PKG_VERSION"));
        assert_eq!(label("licenses"), "MIT");
        assert!(label("title").starts_with("WebSocket ping/pong "), "{}", label("title"));
    }
}

#[test]
#[ignore = "needs Docker"]
fn a_server_without_compose_honours_its_environment() {
    let _project = Project::new();
    let name = "websockets-test-alone";
    let settings = ["-e", "TZ=Asia/Tokyo", "-e", "LOG_SYNC=always"];
    let limits = ["--read-only", "--cap-drop", "ALL"];
    // The hour may change meanwhile. Tokyo has no daylight saving.
    let hour_in_tokyo = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        format!("{:02}", (now.as_secs() / 3600 + 9) % 24)
    };
    let before = hour_in_tokyo();
    let _container = Container::start(name, &[&limits[..], &settings].concat());
    wait_for(name, "LOG_SYNC always", 1);
    assert_eq!(bash(name, "id -u; pwd; cat /proc/1/comm"), "10001\n/app\nserver\n");

    // The server, its log and the commands in the container agree on the time of day there.
    let (_, told) = logs(name);
    let hour = |text: &str| text[11..13].to_owned();
    let shown = bash(name, "date '+%d-%m-%Y %H:%M:%S'");
    let hours = [before, hour_in_tokyo()];
    for text in [&told, &shown] {
        assert!(hours.contains(&hour(text)), "{text}, not {hours:?}");
    }
}

#[test]
#[ignore = "needs Docker"]
fn the_server_reads_every_time_zone_of_its_image() {
    let _project = Project::new();
    let name = "websockets-test-zones";
    let _container = Container::start(name, &[]);
    let each = "cd /usr/share/zoneinfo && find * -type f | while read -r zone; do \
        TZ=$zone server completions bash >/dev/null 2>&1 && echo right || echo $zone; done | \
        sort | uniq -c";
    let told = bash(name, each);
    let lines: Vec<_> = told.lines().map(str::trim).collect();
    let [line] = lines[..] else { panic!("these cannot be read: {told}") };
    let count: u32 = line.strip_suffix(" right").unwrap().parse().unwrap();
    assert!(count > 400, "{told}");
}

#[test]
#[ignore = "needs Docker"]
fn a_shell_in_the_container_completes_the_options_and_leaves_no_history() {
    let _project = Project::new();
    let name = "websockets-test-shell";
    let _container = Container::start(name, &[]);
    // Interactive, as `docker exec -it NAME bash` is.
    let commands = "complete -p server; echo \"history: ${HISTFILE-none}\"";
    let told = docker(&["exec", name, "bash", "-ic", commands]);
    assert!(told.contains("_server") && told.contains("server\n"), "{told}");
    assert!(told.ends_with("history: none\n"), "{told}");
}

#[test]
#[ignore = "needs Docker"]
fn a_wrong_setting_ends_the_container_with_status_2() {
    let _project = Project::new();
    let run = |image: &str, setting: &str| {
        let args = ["run", "--rm", "-e", setting, image];
        let output = Command::new("docker").args(args).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (image, name) in [("websockets-server", "LOG_SYNC"), ("websockets-client", "LAG_TIME")] {
        let (status, told) = run(image, &format!("{name}=often"));
        assert_eq!(status, Some(2), "{told}");
        assert!(told.starts_with(&format!("error: {name} (")), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

/// A container of the server's image. It is removed when dropped.
struct Container(&'static str);

impl Container {
    #[track_caller]
    fn start(name: &'static str, options: &[&str]) -> Self {
        let run = ["run", "-d", "--rm", "--name", name];
        docker(&[&run[..], options, &["websockets-server"]].concat());
        Self(name)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f", "-v", self.0]).output();
    }
}
