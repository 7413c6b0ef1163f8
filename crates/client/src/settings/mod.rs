//! Command line and environment: reads both, and makes a [`Mode`] of them.

mod bench;
mod check;
mod command;
mod connect;
mod header;
mod hold;
mod idle;
mod many_connections;
mod ping;
mod replica;
mod spread;
mod url;
mod why;

use std::time::Duration;

use clap::Parser;
use clap::builder::{PathBufValueParser, TypedValueParser};
use program::documentation::Documentation;
use program::events::Filter;
use program::values::{filter, seconds};
use proto::ping::unquoted;

use crate::mode::Mode;
use crate::net::Endpoint;
use crate::net::tls::Trust;
use crate::net::tls::authorities::Authorities;
use crate::talk;
use command::Command;
use connect::ConnectArgs;
use ping::PingArgs;
use url::{Given, parse_url};

/// Longest client name, in bytes. Escaping for JSON makes a name up to six times as long, which
/// still fits into a message.
const MAX_NAME: usize = 4096;

/// The exit statuses, at the end of the help.
const EXIT_STATUS: &str = "Exit status: 0 if all is well, 1 if not, 2 if a setting is wrong, 3 if the client cannot tell.";

/// A WebSocket client that pings a server and prints its replies, until it is stopped.
///
/// An option that names its variable, [env: NAME=], may be given in the environment as well; the
/// option wins.
#[derive(Clone, Debug, Parser)]
#[command(name = "client", version, after_help = EXIT_STATUS)]
pub struct Settings {
    /// Server to ping [default: that of --server-url]
    #[arg(value_name = "URL")]
    url: Option<String>,

    /// Name that the server writes to its log; `{replica}` in it becomes -2 in the second container
    /// of a Compose service [default: the host name]
    #[arg(long, env, global = true, value_name = "NAME", value_parser = name)]
    client_name: Option<String>,

    #[command(flatten)]
    ping: PingArgs,

    /// Server, if no URL is given
    // The value of the variable may hold a password.
    #[arg(
        long,
        env,
        hide_env_values = true,
        global = true,
        value_name = "URL",
        default_value = "ws://localhost:8765"
    )]
    server_url: String,

    /// The same as talk
    #[arg(long, global = true, value_name = "URL", num_args = 0..=1)]
    interactive: Option<Option<String>>,

    /// Time after which a ping without a reply counts as lost, and the connection with it
    #[arg(long, env, global = true, value_name = "SECONDS", default_value = "10", value_parser = some_seconds)]
    pong_timeout: Duration,

    /// File of authorities to trust at wss:// in addition to those of the system, in PEM
    #[arg(
        long,
        env,
        visible_alias = "cacert",
        global = true,
        value_name = "PATH",
        value_parser = PathBufValueParser::new().try_map(Authorities::open)
    )]
    tls_ca: Option<Authorities>,

    /// Accepts any certificate at wss://: anyone on the way can then read and change the messages
    #[arg(short = 'k', long, global = true)]
    insecure: bool,

    /// Prints one JSON object a line, the verdict last
    #[arg(long, global = true)]
    json: bool,

    /// Events on stderr: a level, or levels by module
    #[arg(long, env, global = true, value_name = "FILTER", default_value = "info", value_parser = filter("info,client::net=debug"))]
    pub rust_log: Filter,

    /// How to get to the server
    #[command(flatten)]
    connect: ConnectArgs,

    /// What to do instead of pinging
    #[command(subcommand)]
    command: Option<Command>,
}

impl Settings {
    /// The documentation to print, if the command asks for one. There is no mode to run then.
    #[must_use]
    pub fn documentation(&self) -> Option<&Documentation> {
        match &self.command {
            Some(Command::Documentation(documentation)) => Some(documentation),
            _ => None,
        }
    }

    /// The mode to run.
    ///
    /// # Errors
    /// Which setting is wrong, with its value and what is allowed.
    pub fn mode(&self) -> Result<Mode, String> {
        self.check_ping_options()?;
        if let (Some(command), Some(_)) = (&self.command, &self.interactive) {
            return Err(format!(
                "--interactive and {} are two modes, but allowed is one: leave one of them out",
                command.name()
            ));
        }
        let endpoint = self.endpoint()?;
        let (patience, json) = (self.pong_timeout, self.json);
        let talk = |endpoint| Ok(Mode::Talk(talk::Options { endpoint, patience, json }));
        match &self.command {
            None if self.interactive.is_some() => talk(endpoint),
            None => Ok(Mode::Ping(self.ping.options(endpoint, self.client_name(), patience, json))),
            Some(Command::Talk(_)) => talk(endpoint),
            Some(Command::Bench(args)) => {
                args.options(endpoint, self.client_name(), patience, json).map(Mode::Bench)
            }
            Some(Command::Why(args)) => Ok(Mode::Why(args.options(endpoint, patience, json))),
            Some(Command::Idle(args)) => Ok(Mode::Idle(args.options(endpoint, patience, json))),
            Some(Command::Spread(args)) => args.options(endpoint, patience, json).map(Mode::Spread),
            Some(Command::Hold(args)) => args.options(endpoint, patience, json).map(Mode::Hold),
            Some(Command::Check(args)) => Ok(Mode::Check(args.options(endpoint, patience, json))),
            Some(Command::Documentation(_)) => {
                Err("completions and manual pages are printed without a server".into())
            }
        }
    }

    /// Checks that no option of pinging is given for another mode.
    fn check_ping_options(&self) -> Result<(), String> {
        let mode = match (&self.command, &self.interactive) {
            (None, None) => return Ok(()),
            (Some(command), _) => command.name(),
            (None, Some(_)) => "--interactive",
        };
        match self.ping.only_for_pinging() {
            Some(option) => Err(format!(
                "{option} is an option of pinging, and {mode} does not ping: leave one of them out"
            )),
            None => Ok(()),
        }
    }

    /// The server of the only URL, or else that of `SERVER_URL`.
    fn endpoint(&self) -> Result<Endpoint, String> {
        let interactive = self.interactive.as_ref().and_then(Option::as_ref);
        let own = match &self.command {
            None => interactive.map(|text| Given { name: "--interactive", text }),
            Some(command) => command.url().map(Given::argument),
        };
        let given = match (own, &self.url) {
            (Some(_), Some(_)) => {
                return Err("two URLs are given, but allowed is one: leave one of them out".into());
            }
            (Some(own), None) => own,
            (None, Some(url)) => Given::argument(url),
            (None, None) => Given { name: "SERVER_URL (--server-url)", text: &self.server_url },
        };
        let trust = if self.insecure { Trust::Everyone } else { Trust::Known(self.tls_ca.clone()) };
        let url = parse_url(given).map_err(|error| match self.command {
            None if given.is_word() => format!("{error}; commands are {}", Command::names()),
            _ => error,
        })?;
        let options = self.connect.options(&url, self.tls_ca.as_ref())?;
        Ok(Endpoint { url, trust, options })
    }

    /// The name in each ping: the one that was set, or that of the host.
    fn client_name(&self) -> String {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let name = self.client_name.as_deref().map(|name| replica::filled_in(name, &host));
        name.filter(|name| !name.is_empty()).unwrap_or(host)
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

    fn mode(args: &[&str]) -> Result<Mode, String> {
        let settings = Settings::try_parse_from([&["client"], args].concat());
        settings.map_err(|error| error.to_string())?.mode()
    }

    /// The mode and the URL that it is for.
    fn server(args: &[&str]) -> (&'static str, String) {
        match mode(args).unwrap() {
            Mode::Ping(options) => ("ping", options.endpoint.url.to_string()),
            Mode::Talk(options) => ("talk", options.endpoint.url.to_string()),
            Mode::Bench(options) => ("bench", options.endpoint.url.to_string()),
            Mode::Why(options) => ("why", options.endpoint.url.to_string()),
            Mode::Idle(options) => ("idle", options.endpoint.url.to_string()),
            Mode::Spread(options) => ("spread", options.endpoint.url.to_string()),
            Mode::Hold(options) => ("hold", options.endpoint.url.to_string()),
            Mode::Check(options) => ("check", options.endpoint.url.to_string()),
        }
    }

    fn named(name: &str) -> String {
        match mode(&["--client-name", name]).unwrap() {
            Mode::Ping(options) => options.client_name,
            other => panic!("not pinging: {other:?}"),
        }
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
    fn each_mode_has_a_server_of_its_own_or_the_usual_one() {
        let usual = ["--server-url", "ws://usual"];
        for (args, mode, url) in [
            (&[][..], "ping", "ws://usual"),
            (&["ws://own"], "ping", "ws://own"),
            (&["--interactive"], "talk", "ws://usual"),
            (&["--interactive", "ws://own"], "talk", "ws://own"),
            (&["ws://own", "--interactive"], "talk", "ws://own"),
            (&["talk"], "talk", "ws://usual"),
            (&["talk", "ws://own"], "talk", "ws://own"),
            (&["ws://own", "talk"], "talk", "ws://own"),
            (&["bench"], "bench", "ws://usual"),
            (&["bench", "ws://own"], "bench", "ws://own"),
            (&["why", "ws://own"], "why", "ws://own"),
            (&["idle", "ws://own"], "idle", "ws://own"),
            (&["spread", "ws://own"], "spread", "ws://own"),
            (&["hold", "ws://own"], "hold", "ws://own"),
            (&["check", "ws://own"], "check", "ws://own"),
        ] {
            let expected = (mode, url.to_owned());
            assert_eq!(server(&[&usual, args].concat()), expected, "{args:?}");
            assert_eq!(server(&[args, &usual].concat()), expected, "{args:?}");
        }
    }

    #[test]
    fn one_mode_and_one_server_are_allowed() {
        for (args, expected) in [
            (&["bench", "--interactive"][..], "--interactive and bench are two modes"),
            (&["--interactive", "ws://x", "talk"], "--interactive and talk are two modes"),
            (&["ws://x", "bench", "ws://y"], "two URLs are given"),
            (&["ws://x", "--interactive", "ws://y"], "two URLs are given"),
        ] {
            let fault = mode(args).unwrap_err();
            assert!(fault.starts_with(expected), "{args:?}: {fault}");
        }
    }

    #[test]
    fn wrong_values_are_refused() {
        let long = "x".repeat(MAX_NAME + 1);
        for args in [
            &["--client-name", long.as_str()][..],
            &["--lag-time=-1"],
            &["--pong-timeout", "0"],
            &["--pong-timeout=-0.5"],
            &["--pong-timeout", "soon"],
            &["--server-url", "wss://no..name"],
            &["--tls-ca", "/"],
            &["--rust-log", "client=loud"],
            &["--interactive", "localhost"],
            &["nonsense"],
            &["bench", "--connections=-1"],
            &["bench", "--duration=-5s"],
        ] {
            let fault = mode(args).unwrap_err();
            assert!(!fault.contains("unexpected argument"), "{args:?}: {fault}");
        }
    }
}
