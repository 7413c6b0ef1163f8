//! How the file descriptors that the process may have are shared out.

use crate::failure::Failure;
use crate::settings::Settings;

/// Descriptors for everything but workers and sockets: standard streams, log, tokio, listeners.
const OWN: usize = 32;

/// Descriptors of each worker: its epoll instance and its eventfd.
const PER_WORKER: usize = 2;

/// Sockets that a server needs at least: one connection and one handshake.
const FEWEST_SOCKETS: usize = 2;

/// Checks that the descriptor limit, raised as far as possible, is enough for the settings.
///
/// # Errors
/// When the limit is too low.
pub fn check(settings: &Settings) -> Result<(), Failure> {
    Budget::new(settings, program::descriptors::raise_limit()).map(drop)
}

/// The most sockets that the descriptor limit allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The most connections that can be upgraded.
    pub connections: usize,
    /// The most sockets: connections, and handshakes under way. Above, handshakes are evicted.
    pub sockets: usize,
}

impl Budget {
    /// Shares out `limit` descriptors as the settings ask.
    ///
    /// # Errors
    /// When the limit is too low for the settings.
    pub fn new(settings: &Settings, limit: usize) -> Result<Self, Failure> {
        let workers = settings.workers();
        let budget = Self::share(limit, workers)
            .ok_or_else(|| too_many_workers(workers, limit, settings.workers.is_some()))?;
        match settings.max_connections {
            Some(asked) if asked > budget.connections => Err(Failure::Setting(format!(
                "MAX_CONNECTIONS (--max-connections) is \"{asked}\", but allowed is at most {} with a limit of {limit} file descriptors: raise that (ulimit -n)",
                budget.connections
            ))),
            Some(asked) => Ok(Self { connections: asked, ..budget }),
            None => Ok(budget),
        }
    }

    /// Shares out `limit` descriptors; `None` if there are too few. A part of the sockets stays
    /// free for handshakes, so that a full server can still answer 503.
    fn share(limit: usize, workers: usize) -> Option<Self> {
        let sockets = limit
            .checked_sub(OWN + workers * PER_WORKER)
            .filter(|&sockets| sockets >= FEWEST_SOCKETS)?;
        let handshakes = (sockets / 16).clamp(1, 512);
        Some(Self { connections: sockets - handshakes, sockets })
    }
}

/// The error for a limit that is too low for the workers. Blames `WORKERS` only if that was set.
fn too_many_workers(workers: usize, limit: usize, is_set: bool) -> Failure {
    let needed = OWN + workers * PER_WORKER + FEWEST_SOCKETS;
    let most = limit.saturating_sub(OWN + FEWEST_SOCKETS) / PER_WORKER;
    match (is_set, most) {
        (true, 1..) => Failure::Setting(format!(
            "WORKERS (--workers) is \"{workers}\", but allowed is at most {most} with a limit of {limit} file descriptors: raise that (ulimit -n)"
        )),
        (false, 1..) => Failure::Run(format!(
            "the limit of {limit} file descriptors is too low for {workers} workers, one a core, which need {needed}: raise it (ulimit -n), or set WORKERS to at most {most}"
        )),
        (_, 0) => Failure::Run(format!(
            "the limit of {limit} file descriptors is too low, {needed} are needed: raise it (ulimit -n)"
        )),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    /// The error of settings under a limit.
    fn refused(args: &[&str], limit: usize) -> Failure {
        let settings = Settings::try_parse_from([&["server"], args].concat()).unwrap();
        Budget::new(&settings, limit).unwrap_err()
    }

    #[test]
    fn an_error_names_a_setting_only_if_it_was_set() {
        let Failure::Setting(told) = refused(&["--workers=30"], 64) else { panic!("a setting") };
        assert_eq!(
            told,
            "WORKERS (--workers) is \"30\", but allowed is at most 15 with a limit of 64 file descriptors: raise that (ulimit -n)"
        );
        let Failure::Run(told) = refused(&[], 35) else { panic!("no setting") };
        assert!(told.starts_with("the limit of 35 file descriptors is too low"), "{told}");
        assert!(!told.contains("WORKERS"), "{told}");
        let Failure::Run(told) = refused(&["--workers=1"], 20) else { panic!("no setting") };
        assert!(told.ends_with("too low, 36 are needed: raise it (ulimit -n)"), "{told}");
        let Failure::Setting(told) = refused(&["--workers=1", "--max-connections=90"], 64) else {
            panic!("a setting")
        };
        assert!(told.starts_with("MAX_CONNECTIONS (--max-connections) is \"90\", but"), "{told}");
    }

    #[test]
    fn everything_together_stays_below_the_limit() {
        for limit in [64, 100, 1024, 20_000, 1_048_576] {
            for workers in [1, 2, 4] {
                let budget = Budget::share(limit, workers).unwrap();
                assert!(budget.sockets + OWN <= limit, "{limit} {workers} {budget:?}");
                assert!(budget.connections < budget.sockets, "{limit} {workers} {budget:?}");
            }
        }
        assert!(Budget::share(20_000, 2).unwrap().connections >= 19_000);
        assert_eq!(Budget::share(64, 30), None);
    }
}
