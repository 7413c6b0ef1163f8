//! The command line.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::load::Length;

/// Time under load before replies are counted.
const WARM_UP: Duration = Duration::from_millis(300);

/// Measures what a ping costs the server, beside the floor of TCP and beside its peers.
#[derive(Debug, Parser)]
pub(crate) struct Settings {
    /// What to measure; all of it unless named
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Rounds; in each, every program is measured in turn
    #[arg(long, default_value = "5")]
    pub(crate) rounds: NonZeroU32,
    /// Seconds that each load is measured
    #[arg(long, default_value = "3", value_parser = seconds)]
    seconds: Duration,
    /// Programs to compare; all that can be had unless named (the floor is always measured)
    #[arg(long, value_name = "NAME", value_enum, value_delimiter = ',')]
    only: Vec<Name>,
    /// Binary of the server, in place of one built from this clone
    #[arg(long, value_name = "PATH")]
    pub(crate) server: Option<PathBuf>,
}

/// A part of the benchmark, with a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// The server beside the floor and its peers
    Compare,
    /// How the server's cost grows with connections
    Scale,
    /// wss:// beside ws://
    Secure,
    /// Two workers beside one
    Workers,
}

/// A program that is compared with the floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// This project's server
    Server,
    /// Rust, tokio-tungstenite
    TokioTungstenite,
    /// Rust, fastwebsockets on tokio
    Fastwebsockets,
    /// Go, gorilla/websocket
    Gorilla,
    /// Node.js, ws
    Ws,
    /// Python, websockets
    Websockets,
}

impl Settings {
    /// The parts to measure, in order.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let all = Part::value_variants().iter().copied();
        all.filter(|part| self.parts.is_empty() || self.parts.contains(part)).collect()
    }

    /// How long each load is measured.
    pub(crate) fn length(&self) -> Length {
        Length { warm_up: WARM_UP, measured: self.seconds }
    }

    /// Whether a program is to be compared.
    pub(crate) fn includes(&self, name: Name) -> bool {
        self.only.is_empty() || self.only.contains(&name)
    }

    /// Whether a program was asked for by its name.
    pub(crate) fn names(&self, name: Name) -> bool {
        self.only.contains(&name)
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|time| !time.is_zero())
        .ok_or_else(|| "allowed is a number of seconds above 0, like 3 or 0.5".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_in_order_unless_named() {
        let all = Settings::parse_from(["bench"]);
        assert_eq!(all.parts(), [Part::Compare, Part::Scale, Part::Secure, Part::Workers]);
        let some = Settings::parse_from(["bench", "workers", "scale"]);
        assert_eq!(some.parts(), [Part::Scale, Part::Workers]);
    }

    #[test]
    fn programs_by_name() {
        let settings = Settings::parse_from(["bench", "--only", "ws,server"]);
        assert!(settings.includes(Name::Ws) && settings.names(Name::Server));
        assert!(!settings.includes(Name::Gorilla));
        let all = Settings::parse_from(["bench"]);
        assert!(all.includes(Name::Gorilla) && !all.names(Name::Gorilla));
    }

    #[test]
    fn time_is_in_seconds() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["0", "-1", "soon", "NaN", "inf", "1e99"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
