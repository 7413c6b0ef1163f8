//! The commands of the client.

use clap::{Args, CommandFactory, Subcommand};
use program::documentation::Documentation;

use super::Settings;
use super::bench::BenchArgs;
use super::check::CheckArgs;
use super::hold::HoldArgs;
use super::idle::IdleArgs;
use super::spread::SpreadArgs;
use super::why::WhyArgs;

/// A mode beside pinging, or documentation.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Command {
    /// Sends each line that you type or pipe in, and prints each frame received
    Talk(TalkArgs),
    /// Puts a server under load, and prints how fast it answers
    Bench(Box<BenchArgs>),
    /// Says why a connection fails, or what proxies on the way change or break
    Why(WhyArgs),
    /// Finds after how long without traffic a connection is cut, and what keeps it alive
    Idle(IdleArgs),
    /// Says over which servers connections spread
    Spread(SpreadArgs),
    /// Holds connections and says which of them a rollout, a reload or a failover cuts
    Hold(HoldArgs),
    /// Checks whether a server conforms to RFC 6455
    Check(CheckArgs),
    /// Completions and manual pages.
    #[command(flatten)]
    Documentation(Documentation),
}

/// The arguments of `client talk`.
#[derive(Args, Clone, Debug)]
pub(super) struct TalkArgs {
    /// Server to talk to [default: that of --server-url]
    #[arg(value_name = "URL")]
    url: Option<String>,
}

impl Command {
    /// The URL behind the command.
    pub(super) fn url(&self) -> Option<&String> {
        match self {
            Self::Talk(args) => args.url.as_ref(),
            Self::Bench(args) => args.url.as_ref(),
            Self::Why(args) => args.url.as_ref(),
            Self::Idle(args) => args.url.as_ref(),
            Self::Spread(args) => args.url.as_ref(),
            Self::Hold(args) => args.url.as_ref(),
            Self::Check(args) => args.url.as_ref(),
            Self::Documentation(_) => None,
        }
    }

    /// The name on the command line.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Talk(_) => "talk",
            Self::Bench(_) => "bench",
            Self::Why(_) => "why",
            Self::Idle(_) => "idle",
            Self::Spread(_) => "spread",
            Self::Hold(_) => "hold",
            Self::Check(_) => "check",
            Self::Documentation(Documentation::Completions { .. }) => "completions",
            Self::Documentation(Documentation::Man { .. }) => "man",
        }
    }

    /// The names of all commands, separated by commas.
    pub(super) fn names() -> String {
        let settings = Settings::command();
        settings.get_subcommands().map(clap::Command::get_name).collect::<Vec<_>>().join(", ")
    }
}
