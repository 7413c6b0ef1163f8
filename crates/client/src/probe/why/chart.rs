//! The phases of a connection as a bar chart.

use std::time::Duration;

use crate::net::Phases;
use crate::net::fault::Step;

/// Width of the chart, in columns.
const WIDTH: f64 = 40.0;

/// A line for each phase: name, time, and a bar that begins where the one before ended.
pub(super) fn lines(phases: &Phases, failed: Option<Step>) -> Vec<String> {
    let steps = [
        (Step::Name, "name", phases.dns),
        (Step::Tcp, "TCP", phases.tcp),
        (Step::Proxy, "proxy", phases.proxy),
        (Step::Tls, "TLS", phases.tls),
        (Step::Upgrade, "upgrade", phases.upgrade),
    ];
    let taken = steps.iter().filter_map(|(step, name, time)| time.map(|time| (*step, *name, time)));
    let taken: Vec<_> = taken.collect();
    let whole: Duration = taken.iter().map(|(_, _, time)| *time).sum();
    let column = |time: Duration| {
        (WIDTH * time.as_secs_f64() / whole.as_secs_f64().max(f64::MIN_POSITIVE)).round() as usize
    };
    let mut before = Duration::ZERO;
    let line = |(step, name, time): &(Step, &str, Duration)| {
        let start = column(before);
        before += *time;
        let bar = "█".repeat(column(before).saturating_sub(start).max(1));
        let end = if failed == Some(*step) { " failed" } else { "" };
        let milliseconds = time.as_secs_f64() * 1e3;
        format!("{name:<9} {milliseconds:>10.2} ms  {}{bar}{end}", " ".repeat(start))
    };
    let mut lines: Vec<_> = taken.iter().map(line).collect();
    if lines.len() > 1 {
        lines.push(format!("{:<9} {:>10.2} ms", "together", whole.as_secs_f64() * 1e3));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bar_begins_where_the_one_before_ends() {
        let phases = Phases {
            dns: Some(Duration::from_micros(500)),
            tcp: Some(Duration::from_millis(1)),
            tls: Some(Duration::from_micros(2500)),
            ..Phases::default()
        };
        assert_eq!(
            lines(&phases, Some(Step::Tls)),
            [
                "name            0.50 ms  █████",
                "TCP             1.00 ms       ██████████",
                "TLS             2.50 ms                 █████████████████████████ failed",
                "together        4.00 ms",
            ]
        );
    }

    #[test]
    fn short_phases_have_a_bar_too() {
        let phases = Phases {
            tcp: Some(Duration::ZERO),
            upgrade: Some(Duration::from_secs(5)),
            ..Phases::default()
        };
        let lines = lines(&phases, None);
        assert_eq!(lines[0], "TCP             0.00 ms  █");
        assert_eq!(lines[1].matches('█').count(), 40);
        let phases = Phases { tcp: Some(Duration::ZERO), ..Phases::default() };
        assert_eq!(super::lines(&phases, None), ["TCP             0.00 ms  █"]);
        assert_eq!(super::lines(&Phases::default(), None), [""; 0]);
    }
}
