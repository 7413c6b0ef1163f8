//! The settings of the server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::{Parser, Subcommand};
use program::documentation::Documentation;
use program::events::Filter;
use program::values::{bytes, filter, seconds};
use proto::limits::MAX_MESSAGE;

use crate::http::{Origins, Proxies};
use crate::journal::{self, Rotation, SyncPolicy};
use crate::tls::Names;

/// Largest value of `MAX_MESSAGE`, in bytes.
const MESSAGE_CEILING: u64 = 1 << 30;

/// Default of `TLS_LISTEN`.
const TLS_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 10443);

/// Most workers that may be asked for.
const WORKER_CEILING: usize = 1024;

/// A WebSocket server that writes each ping to a log file and answers `Pong!`.
///
/// Each option is also an environment variable of the same name; the option wins.
#[derive(Clone, Debug, Parser)]
#[command(name = "server", version)]
pub struct Settings {
    /// Address and port to listen on
    #[arg(long, env, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8765", value_parser = address)]
    pub listen: SocketAddr,

    /// File that every ping is written to
    #[arg(long, env, value_name = "PATH", default_value = "server_logs.txt")]
    pub log_file: PathBuf,

    /// When the disk has to hold a ping: before its Pong, within about a second, or whenever
    #[arg(long, env, value_name = "WHEN", default_value = "everysec", value_enum)]
    pub log_sync: SyncPolicy,

    /// Size at which the log is rotated to `LOG_FILE.1` [default: never]
    #[arg(long, env, value_name = "BYTES", value_parser = bytes)]
    pub log_max_bytes: Option<u64>,

    /// Rotated logs to keep [default: all]
    #[arg(long, env, value_name = "NUMBER", value_parser = keep)]
    pub log_keep: Option<u32>,

    /// Threads that serve connections [default: one a core]
    #[arg(long, env, value_name = "NUMBER", value_parser = workers)]
    pub workers: Option<usize>,

    /// Most connections at a time [default: what the descriptor limit allows]
    #[arg(long, env, value_name = "NUMBER", value_parser = connections)]
    pub max_connections: Option<usize>,

    /// Largest message, in bytes
    #[arg(long, env, value_name = "BYTES", default_value_t = MAX_MESSAGE, value_parser = message_size)]
    pub max_message: usize,

    /// Time that each reply is held back, as a slow server would
    #[arg(long, env, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    pub reply_delay: Duration,

    /// Origins of the web pages that may connect, separated by commas; `self` is the page of the
    /// server, under whatever name a browser reached it [default: all]
    #[arg(long, env, value_name = "ORIGINS")]
    pub allowed_origins: Option<Origins>,

    /// Proxies whose word on a client's address (X-Forwarded-For) counts: addresses and networks,
    /// separated by commas; `private` is every private network [default: none]
    #[arg(long, env, value_name = "PROXIES")]
    pub trusted_proxies: Option<Proxies>,

    /// Folder of cert.pem and key.pem for wss://; if it is empty, the server makes them, with an
    /// authority of its own [default: no TLS]
    #[arg(long, env, value_name = "PATH")]
    pub tls_dir: Option<PathBuf>,

    /// Address and port to listen on for wss://, with `TLS_DIR` [default: 0.0.0.0:10443]
    #[arg(long, env, value_name = "ADDRESS:PORT", value_parser = address)]
    pub tls_listen: Option<SocketAddr>,

    /// Names and addresses for the certificate that the server makes, separated by commas, beside
    /// those of the machine itself and `server`
    #[arg(long, env, value_name = "NAMES")]
    pub tls_names: Option<Names>,

    /// Most time that stopping may take
    #[arg(long, env, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub drain_timeout: Duration,

    /// What is told on stderr: a level, or levels by module
    #[arg(long, env, value_name = "FILTER", default_value = "info", value_parser = filter("info,server::journal=debug"))]
    pub rust_log: Filter,

    /// What to do in place of serving
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program can do beside serving.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Check the server that listens at `LISTEN`: exit status 0 if it works, 1 if not
    Healthcheck,
    /// Completions and manual pages.
    #[command(flatten)]
    Documentation(Documentation),
}

impl Settings {
    /// Number of workers.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
    }

    /// Where TLS is spoken, if it is.
    #[must_use]
    pub fn tls_listen(&self) -> SocketAddr {
        self.tls_listen.unwrap_or(TLS_LISTEN)
    }

    /// How the log is kept.
    #[must_use]
    pub fn journal(&self) -> journal::Options {
        let keep = self.log_keep;
        journal::Options {
            path: self.log_file.clone(),
            sync: self.log_sync,
            rotation: self.log_max_bytes.map(|max_bytes| Rotation { max_bytes, keep }),
        }
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "allowed is an address and a port, such as 0.0.0.0:8765 or [::]:8765".into())
}

fn keep(text: &str) -> Result<u32, String> {
    number(text, 1..=u32::MAX as usize)
        .and_then(|number| u32::try_from(number).ok())
        .ok_or_else(|| "allowed is a whole number from 1".into())
}

fn workers(text: &str) -> Result<usize, String> {
    number(text, 1..=WORKER_CEILING)
        .ok_or_else(|| format!("allowed is a whole number from 1 to {WORKER_CEILING}"))
}

fn connections(text: &str) -> Result<usize, String> {
    number(text, 1..=usize::MAX).ok_or_else(|| "allowed is a whole number from 1".into())
}

fn message_size(text: &str) -> Result<usize, String> {
    bytes(text)
        .ok()
        .filter(|&bytes| bytes <= MESSAGE_CEILING)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .ok_or_else(|| "allowed is a number of bytes from 1 to 1G, such as 65536 or 64K".into())
}

fn number(text: &str, allowed: std::ops::RangeInclusive<usize>) -> Option<usize> {
    text.parse().ok().filter(|number| allowed.contains(number))
}
