//! The figures of a part, as a row of a table.

use std::time::Duration;

use crate::bystander::Latencies;
use crate::ledger::Ledger;

/// The results of a part.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// How often the part has repeated what it does.
    pub(crate) rounds: usize,
    pub(crate) ledger: Ledger,
    /// Round trips of a client that does nothing wrong.
    pub(crate) innocent: Option<Latencies>,
    /// Times from the connection to the Pong of clients that connect anew for each ping.
    pub(crate) newcomer: Option<Latencies>,
    /// Memory of the program before, at the peak and after, in bytes.
    pub(crate) memory: Option<[u64; 3]>,
}

impl Figures {
    /// `| part | rounds | acknowledged | refused | lost | twice | torn | p50 | p99 | p99 of newcomers | memory | seed |`
    pub(crate) fn row(&self, name: &str, seed: u64) -> String {
        let Self { rounds, ledger, innocent, newcomer, memory } = self;
        let Ledger { acknowledged, refused, lost, twice, torn, .. } = ledger;
        let time = |time: Option<Duration>| {
            time.map_or("–".into(), |time| format!("{:.2} ms", 1000.0 * time.as_secs_f64()))
        };
        let p50 = time(innocent.as_ref().map(Latencies::median));
        let p99 = time(innocent.as_ref().map(Latencies::p99));
        let newcomer = time(newcomer.as_ref().map(Latencies::p99));
        let memory = memory.map_or("–".into(), |memory| {
            memory.map(|bytes| format!("{:.1}", bytes as f64 / 1e6)).join(" / ") + " MB"
        });
        format!(
            "| {name} | {rounds} | {acknowledged} | {refused} | {lost} | {twice} | {torn} | {p50} | {p99} | {newcomer} | {memory} | {seed} |"
        )
    }

    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        let Ledger { acknowledged, lost, twice, torn, refused_and_found, example, .. } =
            &self.ledger;
        assert!(*acknowledged > 0, "nothing was acknowledged, so this proves nothing");
        let faults = [lost, twice, torn, refused_and_found];
        assert!(
            faults.iter().all(|&&count| count == 0),
            "{lost} lost, {twice} twice, {torn} torn, {refused_and_found} refused and in the log: {example}"
        );
    }
}
