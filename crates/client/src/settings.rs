//! The settings of the client.

use std::time::Duration;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Parser, Subcommand};
use program::events::Filter;
use program::values::{filter, seconds};
use proto::ping::unquoted;

use crate::bench::Load;
use crate::replica;
use crate::tls::Trust;
use crate::tls::authorities::Authorities;
use crate::url::ServerUrl;

/// Longest name, in bytes. Escaped for JSON it may take six times as much, and still fits into a
/// message.
const MAX_NAME: usize = 4096;

/// A WebSocket client that pings a server and prints its replies, until it is stopped.
///
/// Each option but --interactive and --insecure is also an environment variable of the same name;
/// the option wins.
#[derive(Clone, Debug, Parser)]
#[command(name = "client", version, disable_help_subcommand = true)]
pub struct Settings {
    /// Name that the server writes to its log; `{replica}` in it becomes -2 in the second container
    /// of a Compose service [default: the host name]
    #[arg(long, env, global = true, value_name = "NAME", value_parser = name)]
    client_name: Option<String>,

    /// Time between a reply and the next ping
    #[arg(long, env, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub lag_time: Duration,

    /// Server to ping
    #[arg(long, env, global = true, value_name = "URL", default_value = "ws://localhost:8765")]
    pub server_url: ServerUrl,

    /// Talks instead of pinging: sends each line that is typed or piped in, and prints each frame
    /// that comes [default: the server to ping]
    #[arg(long, value_name = "URL", num_args = 0..=1)]
    interactive: Option<Option<ServerUrl>>,

    /// Time after which a ping without a reply counts as lost, and the connection with it
    #[arg(long, env, global = true, value_name = "SECONDS", default_value = "10", value_parser = some_seconds)]
    pub pong_timeout: Duration,

    /// File of authorities that are trusted at wss:// beside those of the system, in PEM
    #[arg(
        long,
        env,
        global = true,
        value_name = "PATH",
        value_parser = PathBufValueParser::new().try_map(Authorities::open)
    )]
    tls_ca: Option<Authorities>,

    /// Takes any certificate at wss://: anyone on the way can then read and change what is sent
    #[arg(long, global = true)]
    insecure: bool,

    /// What is told on stderr: a level, or levels by module
    #[arg(long, env, global = true, value_name = "FILTER", default_value = "info", value_parser = filter("info,client::connect=debug"))]
    pub rust_log: Filter,

    /// What to do in place of pinging
    #[command(subcommand)]
    command: Option<Command>,
}

/// What the program can do beside pinging and talking.
#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Puts a server under load, and prints how fast it answers
    Bench(Box<Load>),
}

impl Settings {
    /// The name of this client: the one that was set, or that of the host.
    #[must_use]
    pub fn client_name(&self) -> String {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let name = self.client_name.as_deref().map(|name| replica::filled_in(name, &host));
        name.filter(|name| !name.is_empty()).unwrap_or(host)
    }

    /// Whose certificates are good enough.
    #[must_use]
    pub fn trust(&self) -> Trust {
        if self.insecure { Trust::Everyone } else { Trust::Known(self.tls_ca.clone()) }
    }

    /// The load to measure a server with, if that is what the client is to do.
    #[must_use]
    pub fn bench(&self) -> Option<&Load> {
        self.command.as_ref().map(|Command::Bench(load)| &**load)
    }

    /// The server that this is about.
    #[must_use]
    pub fn url(&self) -> &ServerUrl {
        let url = match self.bench() {
            Some(load) => load.url.as_ref(),
            None => self.interactive(),
        };
        url.unwrap_or(&self.server_url)
    }

    /// The server to talk to interactively, if that is what the client is to do.
    #[must_use]
    pub fn interactive(&self) -> Option<&ServerUrl> {
        self.interactive.as_ref().map(|url| url.as_ref().unwrap_or(&self.server_url))
    }
}

fn name(text: &str) -> Result<String, String> {
    if text.len() > MAX_NAME {
        return Err(format!("allowed is a name of at most {MAX_NAME} bytes"));
    }
    Ok(unquoted(text).to_owned())
}

fn some_seconds(text: &str) -> Result<Duration, String> {
    seconds(text).ok().filter(|time| !time.is_zero()).ok_or_else(|| {
        "allowed is a number of seconds above 0, up to a year, such as 10 or 0.5".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> String {
        Settings::try_parse_from(["client", "--client-name", name]).unwrap().client_name()
    }

    #[test]
    fn one_pair_of_quotes_around_the_name_is_dropped() {
        assert_eq!(named("\"Client-100\""), "Client-100");
        assert_eq!(named("Client-100"), "Client-100");
    }

    #[test]
    fn an_empty_name_is_that_of_the_host() {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        assert_eq!(named(""), host);
        assert_eq!(named("\"\""), host);
    }

    #[test]
    fn the_interactive_mode_has_a_server_of_its_own_or_the_usual_one() {
        let server = |args: &[&str]| {
            let settings = Settings::try_parse_from([&["client"], args].concat()).unwrap();
            settings.interactive().map(ToString::to_string)
        };
        let usual = ["--server-url", "ws://usual"];
        assert_eq!(server(&usual), None);
        assert_eq!(server(&[&usual[..], &["--interactive"]].concat()).unwrap(), "ws://usual");
        assert_eq!(server(&[&["--interactive"], &usual[..]].concat()).unwrap(), "ws://usual");
        assert_eq!(
            server(&[&usual[..], &["--interactive", "ws://own"]].concat()).unwrap(),
            "ws://own"
        );
    }

    #[test]
    fn wrong_values_are_refused() {
        let long = "x".repeat(MAX_NAME + 1);
        for args in [
            ["--client-name", long.as_str()],
            ["--lag-time", "-1"],
            ["--pong-timeout", "0"],
            ["--pong-timeout", "soon"],
            ["--server-url", "wss://no..name"],
            ["--tls-ca", "/"],
            ["--rust-log", "client=loud"],
            ["--interactive", "localhost"],
        ] {
            assert!(
                Settings::try_parse_from([&["client"], &args[..]].concat()).is_err(),
                "{args:?}"
            );
        }
    }
}
