//! `docker stack deploy`: the stack on a Swarm of one node.

use std::io::{BufRead, BufReader};
use std::mem;
use std::process::{Command, Stdio};
use std::sync::{MutexGuard, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::project::{Project, alone, bash_in_volume, docker, eventually, free_ports, logs};
use super::visitor::{Visitor, Visitors, assert_recorded, wait_for_hosts};

const BACKEND: &str = "websockets_ws-backend";
const CLIENT: &str = "websockets_client";

/// Bound on the median time for which a visitor, who retries at once, has no server while its
/// replica is replaced.
const USUALLY_AWAY: Duration = Duration::from_secs(2);

/// Bound on the longest of these times, on a machine that stalls.
const MOST_AWAY: Duration = Duration::from_secs(20);

/// Bound on the longest time of a client of this project, whose pauses between retries grow up to
/// 10 s while its servers are replaced one after the other.
const MOST_AWAY_WITH_PAUSES: Duration = Duration::from_secs(30);

/// How long `docker service logs -f` is followed before it is started again.
const A_WHILE: Duration = Duration::from_secs(10);

/// A Swarm with the stack on it; left, with all that it made removed, when dropped.
struct Stack {
    nginx: std::net::SocketAddr,
    _alone: MutexGuard<'static, ()>,
}

impl Stack {
    #[track_caller]
    fn deploy(clients: usize) -> Self {
        // The images, as the compose file builds them.
        drop(Project::new());
        let alone = alone();
        let state = docker(&["info", "--format", "{{.Swarm.LocalNodeState}}"]);
        assert_eq!(state.trim(), "inactive", "this machine is in a Swarm: docker swarm leave");
        assert_eq!(log_volumes(), "", "the logs of another stack are there: docker volume rm");
        let [plain, secure] = free_ports();
        let stack = Self { nginx: ([127, 0, 0, 1], plain).into(), _alone: alone };
        docker(&["swarm", "init", "--advertise-addr", "127.0.0.1"]);
        let deploy = ["stack", "deploy", "--resolve-image", "never", "-c", "deploy/stack.yml"];
        let output = Command::new("docker")
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
            .args(deploy)
            .arg("websockets")
            .envs([("NGINX_PORT", plain.to_string()), ("NGINX_TLS_PORT", secure.to_string())])
            .envs([("CLIENTS", clients.to_string()), ("LAG_TIME", "0.1".to_owned())])
            .env_remove("TLS_DIR")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        wait_for_hosts(stack.nginx, 3);
        stack
    }

    /// The output of the containers of a service on stderr.
    fn events(&self, service: &str) -> String {
        containers(service).iter().map(|container| logs(container).1).collect()
    }

    /// The lines in all logs of all replicas.
    #[track_caller]
    fn log_lines(&self) -> String {
        let read = |volume: &str| bash_in_volume(volume, "cat server_logs*.txt");
        log_volumes().lines().map(read).collect()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if thread::panicking() {
            eprint!("{}", quiet(&["stack", "ps", "--no-trunc", "websockets"]));
            for container in [CLIENT, BACKEND].into_iter().flat_map(containers) {
                let told =
                    Command::new("docker").args(["logs", "--tail", "20", &container]).output();
                let told = told.map(|told| [told.stdout, told.stderr].concat()).unwrap_or_default();
                eprintln!("{container}:\n{}", String::from_utf8_lossy(&told));
            }
        }
        quiet(&["swarm", "leave", "--force"]);
        let of_stack = "label=com.docker.stack.namespace=websockets";
        for (list, remove) in [
            (&["ps", "-aq"][..], &["rm", "-f", "-v"][..]),
            (&["volume", "ls", "-q"], &["volume", "rm"]),
        ] {
            let found = quiet(&[list, &["--filter", of_stack]].concat());
            let found: Vec<_> = found.split_whitespace().collect();
            quiet(&[remove, &found].concat());
        }
        // The engine removes the networks some time after it has left the Swarm.
        let end = Instant::now() + Duration::from_secs(60);
        while !quiet(&["network", "ls", "-q", "--filter", of_stack]).is_empty()
            && Instant::now() < end
        {
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Runs `docker`, which may fail; returns its stdout.
fn quiet(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// The containers of a service, those that have stopped included.
fn containers(service: &str) -> Vec<String> {
    let filter = format!("label=com.docker.swarm.service.name={service}");
    quiet(&["ps", "-aq", "--filter", &filter]).lines().map(Into::into).collect()
}

fn log_volumes() -> String {
    docker(&["volume", "ls", "-q", "--filter", "name=websockets-logs-"])
}

/// Follows what all tasks of a service say, until each of `needles` was among it.
///
/// `docker service logs -f` now and then goes silent for one of the tasks (moby/moby#41733), so it
/// is started again. `say` then has a further line written.
#[track_caller]
fn wait_for_log(service: &str, mut needles: Vec<String>, mut say: impl FnMut()) {
    eventually(&format!("docker service logs -f {service} shows it all"), || {
        say();
        needles = missing_in_log(service, mem::take(&mut needles));
        needles.is_empty().then_some(())
    });
}

/// Those of `needles` that no task of a service says while `docker service logs -f` follows it.
fn missing_in_log(service: &str, mut needles: Vec<String>) -> Vec<String> {
    // Lines of the log are on stdout, events on stderr.
    let follow = format!("exec docker service logs -f --tail 100 {service} 2>&1");
    let mut follow =
        Command::new("sh").args(["-c", &follow]).stdout(Stdio::piped()).spawn().unwrap();
    let told = BufReader::new(follow.stdout.take().unwrap()).lines();
    let (send, lines) = mpsc::channel();
    let reader = thread::spawn(move || told.map_while(Result::ok).try_for_each(|l| send.send(l)));
    let end = Instant::now() + A_WHILE;
    while !needles.is_empty()
        && let Ok(line) = lines.recv_timeout(end.saturating_duration_since(Instant::now()))
    {
        needles.retain(|needle| !line.contains(needle));
    }
    drop(lines);
    let _ = follow.kill();
    let _ = follow.wait();
    let _ = reader.join();
    needles
}

#[test]
#[ignore = "needs Docker"]
fn a_stack_spreads_connections_and_scales() {
    let stack = Stack::deploy(3);
    let lines = (1..=3).map(|slot| format!("(\"Client-{slot}\"): Ping!"));
    wait_for_log(BACKEND, lines.collect(), || {});
    // As the tutorial shows it: a text typed into websocat appears in the logs of the service.
    let mut visitor = Visitor::connect(stack.nginx, "/ws").unwrap();
    wait_for_log(BACKEND, vec!["Got message: asdf".into()], || {
        visitor.ask("asdf").unwrap();
    });
    docker(&["service", "scale", "--detach", &format!("{BACKEND}=5")]);
    let hosts = wait_for_hosts(stack.nginx, 5);
    let slots: Vec<_> = (1..=5).map(|slot| format!("ws-backend-{slot}")).collect();
    assert_eq!(hosts.into_iter().collect::<Vec<_>>(), slots);

    let mut held: Vec<_> = (0..10).map(|_| Visitor::connect(stack.nginx, "/ws").unwrap()).collect();
    let stays = |host: &str| host <= "ws-backend-2";
    let hosts: Vec<_> = held.iter_mut().map(|visitor| visitor.host().unwrap()).collect();
    docker(&["service", "scale", "--detach", &format!("{BACKEND}=2")]);
    wait_for_hosts(stack.nginx, 2);
    for (mut visitor, host) in held.into_iter().zip(hosts).filter(|(_, host)| stays(host)) {
        assert_eq!(visitor.host().unwrap(), host);
    }
    // The logs of those that went are still there.
    assert_eq!(log_volumes().lines().count(), 5);
}

#[test]
#[ignore = "needs Docker"]
fn an_update_loses_no_acknowledged_ping_and_a_bad_one_is_rolled_back() {
    let stack = Stack::deploy(5);
    eventually("all clients are there", || {
        (stack.events(CLIENT).matches("INFO connected to ").count() == 5).then_some(())
    });
    let visitors = Visitors::start(stack.nginx, 45);
    visitors.wait_for_more(3);

    update(&["--force"], "completed");
    visitors.wait_for_more(3);
    // A server with this setting does not even start.
    update(&["--env-add", "LOG_SYNC=often"], "rollback_completed");
    visitors.wait_for_more(3);
    let told = stack.events(CLIENT);
    let visits = visitors.stop();
    docker(&["service", "scale", "--detach", &format!("{CLIENT}=0")]);

    assert_recorded(&visits, &stack.log_lines());
    let mut by_visitors: Vec<_> = visits.iter().flat_map(|visit| &visit.away).copied().collect();
    let by_clients: Vec<_> = told
        .lines()
        .filter_map(|line| {
            let (_, rest) = line.split_once("connected again after ")?;
            Some(Duration::from_secs_f64(rest.strip_suffix(" s")?.parse().ok()?))
        })
        .collect();
    let moves = (by_visitors.len(), by_clients.len());
    assert!(moves.0 >= 45 && moves.1 >= 5, "every client had to move: {moves:?}");
    by_visitors.sort_unstable();
    assert!(by_visitors[by_visitors.len() / 2] < USUALLY_AWAY, "{by_visitors:?}");
    assert!(by_visitors.iter().all(|away| *away < MOST_AWAY), "{by_visitors:?}");
    assert!(by_clients.iter().all(|away| *away < MOST_AWAY_WITH_PAUSES), "{by_clients:?}");
}

#[test]
#[ignore = "needs Docker"]
fn hold_tells_what_an_update_does_to_connections() {
    let stack = Stack::deploy(1);
    let url = format!("ws://{}/probe", stack.nginx);
    let run = ["run", "--rm", "--network", "host", "websockets-client"];
    let hold = ["hold", &url, "-n", "60", "--until-quiet", "60s", "--json"];
    let mut probe =
        Command::new("docker").args(run).args(hold).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(probe.stdout.take().unwrap()).lines();
    let mut objects =
        lines.map(|line| serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap());
    let all = objects.find(|object| object["type"] == "sample" && object["held"] == 60);
    assert_eq!(all.unwrap()["shares"].as_array().unwrap().len(), 3);

    update(&["--force"], "completed");
    let verdict = objects.find(|object| object["type"] == "verdict").expect("a verdict");
    assert_eq!(probe.wait().unwrap().code(), Some(1), "{verdict}");
    // Every connection had to move, some of them from one replica to the next that goes.
    for (name, number) in [("connections", 60), ("lost", 60), ("not_back", 0)] {
        assert_eq!(verdict[name], number, "{name} in {verdict}");
    }
    assert_eq!(verdict["seen"]["close-1001"], verdict["losses"], "{verdict}");
    // A gap counts from the last reply on, and there is one each second.
    for (gap, most) in [("median_gap", USUALLY_AWAY), ("worst_gap", MOST_AWAY)] {
        let most = most.as_secs_f64() + 1.0;
        assert!(verdict[gap].as_f64().is_some_and(|gap| gap < most), "{gap} in {verdict}");
    }
    // All replicas were replaced.
    let names = |which: &str| -> Vec<String> {
        let shares = verdict[which].as_array().unwrap().iter();
        shares.map(|share| share["instance"].as_str().unwrap().to_owned()).collect()
    };
    let (before, after) = (names("shares_before"), names("shares_after"));
    assert_eq!((before.len(), after.len()), (3, 3), "{verdict}");
    assert!(after.iter().all(|name| !before.contains(name)), "{verdict}");
}

/// Updates the servers, and waits for what comes of it.
#[track_caller]
fn update(change: &[&str], end: &str) {
    docker(&[&["service", "update", "--detach"], change, &[BACKEND]].concat());
    eventually(&format!("the update comes to its end: {end}"), || {
        let state = "{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}";
        let state = docker(&["service", "inspect", "--format", state, BACKEND]);
        (state.trim() == end).then_some(())
    });
}
