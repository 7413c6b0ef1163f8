//! The client against the real server.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use clap::Parser;
use program::stop;
use rustix::process::Signal;
use server::{Server, Settings};
use tempfile::TempDir;
use tokio::runtime::Builder;

use crate::client::Client;
use crate::fake::Port;

/// A server in a thread of this process.
pub(crate) struct Running {
    log: PathBuf,
    stopper: stop::Stopper,
    thread: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(address: SocketAddr, folder: &TempDir, settings: &[&str]) -> Self {
        let log = folder.path().join("server_logs.txt");
        let (listen, path) = (address.to_string(), log.display().to_string());
        let args = ["server", "--listen", &listen, "--log-file", &path, "--workers", "1"];
        let settings = Settings::try_parse_from(args.iter().chain(settings)).unwrap();
        let (stopper, stop) = stop::channel();
        let (started, starts) = mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let server = Server::start(&settings, io::sink()).unwrap();
                started.send(()).unwrap();
                server.run(stop).await.unwrap();
            });
        });
        starts.recv().unwrap();
        Self { log, stopper, thread }
    }

    pub(crate) fn stop(self) {
        self.stopper.stop();
        self.thread.join().unwrap();
        // A thread of the journal may hold the lock a moment longer; the next server would take
        // another file then.
        File::open(self.log).unwrap().lock().unwrap();
    }
}

fn logged(folder: &TempDir) -> usize {
    let log = fs::read_to_string(folder.path().join("server_logs.txt")).unwrap();
    let ping = "] Recieved from client (\"Client-300\"): Ping!";
    assert!(log.lines().all(|line| line.ends_with(ping)), "{log}");
    log.lines().count()
}

#[test]
fn a_restart_of_the_server_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let port = Port::reserve();
    let server = Running::start(port.address(), &folder, &[]);
    let client = Client::start(&port.url(), &[("CLIENT_NAME", "Client-300"), ("LAG_TIME", "3600")]);
    assert_eq!(client.stdout.next_reply(), "Pong!");
    server.stop();
    assert_eq!(client.stderr.next_event(), format!("INFO connected to {}", port.url()));
    let event = client.stderr.next_event();
    assert!(event.contains("closed by the server (1001: the server stops)"), "{event}");

    let server = Running::start(port.address(), &folder, &[]);
    assert_eq!(client.stdout.next_reply(), "Pong!");
    let event = client.stderr.next_event();
    assert!(event.starts_with("INFO connected again after "), "{event}");
    let statistics = client.stop(Signal::TERM);
    assert!(statistics[1].starts_with("2 sent, 2 received, 0 lost (0%), 1 reconnect, "));
    server.stop();
    assert_eq!(logged(&folder), 2);
}

#[test]
fn a_client_that_stops_in_full_speed_leaves_no_ping_behind() {
    let folder = tempfile::tempdir().unwrap();
    let port = Port::reserve();
    let server = Running::start(port.address(), &folder, &[]);
    let client = Client::start(&port.url(), &[("CLIENT_NAME", "Client-300")]);
    (0..200).for_each(|_| assert_eq!(client.stdout.next_reply(), "Pong!"));
    assert_eq!(client.stderr.next_event(), format!("INFO connected to {}", port.url()));
    let statistics = client.stop(Signal::TERM);
    server.stop();
    assert!(statistics[1].contains(" received, 0 lost (0%), 0 reconnects, "), "{statistics:?}");
    let received: usize = statistics[1].split(' ').nth(2).unwrap().parse().unwrap();
    // One may have been on its way when the client stopped.
    let logged = logged(&folder);
    assert!((received..=received + 1).contains(&logged), "{logged} {statistics:?}");
}

#[test]
fn a_full_server_says_so_and_takes_the_client_later() {
    let folder = tempfile::tempdir().unwrap();
    let port = Port::reserve();
    let server = Running::start(port.address(), &folder, &["--max-connections", "1"]);
    let first = Client::start(&port.url(), &[("LAG_TIME", "3600")]);
    assert_eq!(first.stdout.next_reply(), "Pong!");
    let second = Client::start(&port.url(), &[]);
    let event = second.stderr.next_event();
    let reason = "the server answered 503 Service Unavailable: All 1 connections of this server (MAX_CONNECTIONS) are taken; try again later; trying again";
    assert!(event.contains(reason), "{event}");
    drop(first);
    assert_eq!(second.stdout.next_reply(), "Pong!");
    server.stop();
}
