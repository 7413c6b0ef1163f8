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

/// A server of this project in a thread of this process, with a folder for its files. It is
/// stopped when dropped.
pub(crate) struct RealServer {
    address: SocketAddr,
    /// The two ports, in clear and for TLS, which nobody else gets while the server is away.
    _plain: Port,
    secure: Port,
    folder: TempDir,
    running: Option<(stop::Stopper, JoinHandle<()>)>,
}

impl RealServer {
    /// A server that does not run yet.
    pub(crate) fn reserve() -> Self {
        let (plain, secure) = (Port::reserve(), Port::reserve());
        let folder = tempfile::tempdir().unwrap();
        Self { address: plain.address(), _plain: plain, secure, folder, running: None }
    }

    /// A server with these flags.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let mut server = Self::reserve();
        server.run(flags);
        server
    }

    /// A server that listens at this address.
    pub(crate) fn start_at(address: SocketAddr) -> Self {
        let mut server = Self::reserve();
        server.address = address;
        server.run(&[]);
        server
    }

    /// A server that speaks TLS at a second port, with a certificate of its own making.
    pub(crate) fn start_with_tls() -> Self {
        let mut server = Self::reserve();
        server.run_with_tls();
        server
    }

    /// Starts the server, for the first time or again.
    pub(crate) fn run(&mut self, flags: &[&str]) {
        let (listen, log) = (self.address.to_string(), self.log_file().display().to_string());
        let args = ["server", "--listen", &listen, "--log-file", &log, "--workers", "1"];
        let settings = Settings::try_parse_from(args.iter().chain(flags)).unwrap();
        let (stopper, stop) = stop::channel();
        let (started, starts) = mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let server = Server::start(&settings, io::sink(), || ()).unwrap();
                started.send(()).unwrap();
                server.run(stop).await.unwrap();
            });
        });
        starts.recv().unwrap();
        self.running = Some((stopper, thread));
    }

    /// Starts a server made by [`Self::reserve`], with TLS as [`Self::start_with_tls`] has it.
    pub(crate) fn run_with_tls(&mut self) {
        let folder = self.folder.path().join("tls").display().to_string();
        let listen = self.secure_address().to_string();
        self.run(&["--tls-dir", &folder, "--tls-listen", &listen]);
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `ws://ADDRESS:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Where a server speaks TLS, if it is started so.
    pub(crate) fn secure_address(&self) -> SocketAddr {
        self.secure.address()
    }

    /// The path of the certificate of the authority that the server makes for TLS.
    pub(crate) fn ca(&self) -> String {
        self.folder.path().join("tls/ca.pem").display().to_string()
    }

    /// The log of the pings.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("server_logs.txt")
    }

    /// Stops the server, and waits until another one can have its log.
    pub(crate) fn stop(&mut self) {
        let Some((stopper, thread)) = self.running.take() else { return };
        stopper.stop();
        let ended = thread.join();
        if !thread::panicking() {
            ended.unwrap();
            // A thread of the journal may hold the lock a moment longer; the next server would take
            // another file then.
            File::open(self.log_file()).unwrap().lock().unwrap();
        }
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The number of lines in the log, which has to hold pings of `Client-300` alone.
pub(crate) fn logged(server: &RealServer) -> usize {
    let log = server.log();
    let ping = "] Recieved from client (\"Client-300\"): Ping!";
    assert!(log.lines().all(|line| line.ends_with(ping)), "{log}");
    log.lines().count()
}

#[test]
fn a_restart_of_the_server_is_survived() {
    let mut server = RealServer::start(&[]);
    let settings = [("CLIENT_NAME", "Client-300"), ("LAG_TIME", "3600")];
    let client = Client::start(&server.url(), &settings);
    assert_eq!(client.stdout.next_reply(), "Pong!");
    server.stop();
    assert_eq!(client.stderr.next_event(), format!("INFO connected to {}", server.url()));
    let event = client.stderr.next_event();
    assert!(event.contains("closed by the server (1001: the server stops)"), "{event}");

    server.run(&[]);
    assert_eq!(client.stdout.next_reply(), "Pong!");
    let event = client.stderr.next_event();
    assert!(event.starts_with("INFO connected again after "), "{event}");
    let statistics = client.stop(Signal::TERM);
    assert!(statistics[1].starts_with("2 sent, 2 received, 0 lost (0%), 1 reconnect, "));
    server.stop();
    assert_eq!(logged(&server), 2);
}

#[test]
fn a_client_that_stops_in_full_speed_leaves_no_ping_behind() {
    let mut server = RealServer::start(&[]);
    let client = Client::start(&server.url(), &[("CLIENT_NAME", "Client-300")]);
    (0..200).for_each(|_| assert_eq!(client.stdout.next_reply(), "Pong!"));
    assert_eq!(client.stderr.next_event(), format!("INFO connected to {}", server.url()));
    let statistics = client.stop(Signal::TERM);
    server.stop();
    assert!(statistics[1].contains(" received, 0 lost (0%), 0 reconnects, "), "{statistics:?}");
    let received: usize = statistics[1].split(' ').nth(2).unwrap().parse().unwrap();
    // One ping may have been in flight when the client stopped.
    let logged = logged(&server);
    assert!((received..=received + 1).contains(&logged), "{logged} {statistics:?}");
}

#[test]
fn a_full_server_says_so_and_takes_the_client_later() {
    let server = RealServer::start(&["--max-connections", "1"]);
    let first = Client::start(&server.url(), &[("LAG_TIME", "3600")]);
    assert_eq!(first.stdout.next_reply(), "Pong!");
    let second = Client::start(&server.url(), &[]);
    let event = second.stderr.next_event();
    let reason = "the server answered 503 Service Unavailable: All 1 connections of this server (MAX_CONNECTIONS) are taken; try again later; trying again";
    assert!(event.contains(reason), "{event}");
    drop(first);
    assert_eq!(second.stdout.next_reply(), "Pong!");
}
