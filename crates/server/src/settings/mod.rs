//! The settings of the server.

mod check;
mod listen;
mod values;

use std::fmt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use program::documentation::Documentation;
use program::events::Filter;
use program::values::{bytes, filter, seconds, switch};
use program::zone;
use proto::limits::{MAX_MESSAGE, MAX_UNFINISHED};
use proto::path;

use crate::front::http::{Origins, Proxies};
use crate::front::tls::Names;
use crate::journal::{self, Rotation, SyncPolicy};
use crate::service::Service;
use crate::worker::turn::Limits;
pub use listen::ListenAddress;
pub(crate) use listen::refusal;
use values::{connections, keep, memory_size, message_size, service, workers};

/// Default of `TLS_LISTEN`.
const TLS_LISTEN: ListenAddress = ListenAddress::everywhere(10443);

/// A WebSocket server that writes each ping to a log file and answers `Pong!`.
///
/// Each option is also an environment variable of the same name; the option wins.
#[derive(Clone, Debug, Parser)]
#[command(name = "server", version, after_help = zone::HELP)]
pub struct Settings {
    /// Address and port to listen on; a name such as localhost stands for all its addresses
    #[arg(long, env, global = true, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8765")]
    pub listen: ListenAddress,

    /// Path of the service that also answers at `/`
    #[arg(long, env, value_name = "SERVICE", default_value = path::PING, value_parser = service)]
    pub default_service: Service,

    /// File that every ping is written to
    #[arg(long, env, value_name = "PATH", default_value = "server_logs.txt")]
    pub log_file: PathBuf,

    /// When the disk has to hold a ping: before its Pong, about a second later, or any time
    #[arg(long, env, value_name = "WHEN", default_value = "everysec", value_enum)]
    pub log_sync: SyncPolicy,

    /// Size at which the log is rotated to `LOG_FILE.N`, where N grows [default: never]
    #[arg(long, env, value_name = "BYTES", value_parser = bytes)]
    pub log_max_bytes: Option<u64>,

    /// Rotated logs to keep, the newest ones [default: all]
    #[arg(long, env, value_name = "NUMBER", value_parser = keep)]
    pub log_keep: Option<u32>,

    /// Logs each message except pings on stderr, with path and peer
    #[arg(long, env, value_name = "on|off", value_parser = switch, action = ArgAction::Set)]
    #[arg(num_args = 0..=1, default_value = "off", default_missing_value = "on")]
    pub log_messages: bool,

    /// The service at /probe, which answers the client's probes
    #[arg(long, env, value_name = "on|off", value_parser = switch, action = ArgAction::Set)]
    #[arg(num_args = 0..=1, default_value = "on", default_missing_value = "on")]
    pub probe: bool,

    /// Threads that serve connections [default: one a core]
    #[arg(long, env, value_name = "NUMBER", value_parser = workers)]
    pub workers: Option<usize>,

    /// Most connections at a time [default: what the descriptor limit allows]
    #[arg(long, env, value_name = "NUMBER", value_parser = connections)]
    pub max_connections: Option<usize>,

    /// Most connections of one client address at a time [default: all of them]
    #[arg(long, env, value_name = "NUMBER", value_parser = connections)]
    pub max_per_address: Option<usize>,

    /// Largest message, in bytes
    #[arg(long, env, value_name = "BYTES", default_value_t = MAX_MESSAGE, value_parser = message_size)]
    pub max_message: usize,

    /// Most memory for all messages that have not arrived in full, in bytes; at least
    /// `MAX_MESSAGE` for each worker [default: 32M, or that minimum if larger]
    #[arg(long, env, value_name = "BYTES", value_parser = memory_size)]
    pub max_unfinished: Option<usize>,

    /// Compresses messages (permessage-deflate) for clients that offer it
    #[arg(long, env, value_name = "on|off", value_parser = switch, action = ArgAction::Set)]
    #[arg(num_args = 0..=1, default_value = "on", default_missing_value = "on")]
    pub compression: bool,

    /// Time that each reply is held back, as a slow server would
    #[arg(long, env, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    pub reply_delay: Duration,

    /// Origins of the web pages that may connect, separated by commas; `self` is the page of the
    /// server, under whatever name a browser reached it [default: all]
    #[arg(long, env, value_name = "ORIGINS")]
    pub allowed_origins: Option<Origins>,

    /// Proxies whose X-Forwarded-For is trusted: addresses and networks, separated by commas;
    /// `private` is every private network [default: none]
    #[arg(long, env, value_name = "PROXIES")]
    pub trusted_proxies: Option<Proxies>,

    /// Folder of cert.pem and key.pem for wss://; if it is empty, the server creates them, with an
    /// authority of its own [default: no TLS]
    #[arg(long, env, value_name = "PATH")]
    pub tls_dir: Option<PathBuf>,

    /// Address and port to listen on for wss://, with `TLS_DIR` [default: 0.0.0.0:10443]
    #[arg(long, env, value_name = "ADDRESS:PORT")]
    pub tls_listen: Option<ListenAddress>,

    /// Names and addresses for a certificate that the server creates, separated by commas, beside
    /// those of the machine itself and `server`
    #[arg(long, env, value_name = "NAMES")]
    pub tls_names: Option<Names>,

    /// Most time that stopping may take
    #[arg(long, env, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub drain_timeout: Duration,

    /// Events on stderr: a level, or levels by module
    #[arg(long, env, value_name = "FILTER", default_value = "info", value_parser = filter("info,server::journal=debug"))]
    pub rust_log: Filter,

    /// What to do in place of serving
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands of the program besides serving.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Check the server that listens at `LISTEN`: exit status 0 if it works, 1 if not
    Healthcheck,
    /// Completions and manual pages.
    #[command(flatten)]
    Documentation(Documentation),
}

/// The value of `LOG_SYNC`.
impl fmt::Display for SyncPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", PossibleValue::get_name))
    }
}

impl Settings {
    /// Number of workers.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
    }

    /// The limits for the connections of one worker of `workers`.
    #[must_use]
    pub fn limits(&self, workers: usize) -> Limits {
        Limits {
            max_message: self.max_message,
            max_unfinished: self.max_unfinished() / workers,
            reply_delay: self.reply_delay,
            log_messages: self.log_messages,
        }
    }

    /// The address to listen on for TLS, if `TLS_DIR` is set.
    #[must_use]
    pub fn tls_listen(&self) -> ListenAddress {
        self.tls_listen.clone().unwrap_or(TLS_LISTEN)
    }

    /// Most memory for all messages that have not arrived in full, in bytes.
    #[must_use]
    pub fn max_unfinished(&self) -> usize {
        let least = self.workers().saturating_mul(self.max_message);
        self.max_unfinished.unwrap_or(MAX_UNFINISHED.max(least))
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
