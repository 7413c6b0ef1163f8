//! Parts of sentences for the verdict.

use std::time::Duration;

use super::super::kind::Kind;
use super::super::observed::{End, Observed};
use crate::format::seconds;
use crate::outage::observed_end::ObservedEnd;

/// How a connection ended, `FIN, no Close`.
pub(super) fn ending(end: &End) -> String {
    match end.seen {
        ObservedEnd::Close(code) if end.said.is_empty() => format!("Close {code}"),
        ObservedEnd::Close(code) => format!("Close {code}, \"{}\"", end.said),
        ObservedEnd::Fin => "FIN, no Close".into(),
        ObservedEnd::Rst => "RST, no Close".into(),
        ObservedEnd::Tls => "an error of TLS, no Close".into(),
        ObservedEnd::Silence => "no answer".into(),
        ObservedEnd::Refused => "refused".into(),
    }
}

/// How these connections ended, of which most were `seen` to end alike.
pub(super) fn common_ending(all: &[Observed], connections: &[usize], seen: ObservedEnd) -> String {
    let mut ends = connections.iter().filter_map(|&index| all[index].end.as_ref());
    ends.find(|end| end.seen == seen).map(ending).unwrap_or_default()
}

/// The time, or `4.0 to 6.1 s` if `low` and `high` differ by more than the measurement error.
pub(super) fn range(low: Duration, time: Duration, high: Duration) -> String {
    let is_wide = high - low > Duration::from_secs(1).max(time / 50);
    if is_wide { format!("{:.1} to {}", low.as_secs_f64(), seconds(high)) } else { seconds(time) }
}

/// A time in whole minutes or seconds where possible, `6 m` or `90 s`.
pub(super) fn limit(time: Duration) -> String {
    let whole = time.as_secs();
    match whole {
        120.. if whole.is_multiple_of(60) => format!("{} m", whole / 60),
        _ if time.subsec_millis() == 0 => format!("{whole} s"),
        _ => seconds(time),
    }
}

/// Kinds of traffic, `protocol pings, messages and TCP keepalive`.
pub(super) fn listed(kinds: &[Kind]) -> String {
    let names: Vec<_> = kinds.iter().map(|kind| kind.words()).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A sentence with its first letter in upper case and a full stop.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

/// Usual pauses between pings, in seconds.
const PAUSES: [f64; 24] = [
    0.2, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0,
    60.0, 90.0, 100.0, 120.0, 150.0, 240.0, 300.0,
];

/// The pause between pings for an idle timeout. Two pauses are shorter than the timeout, so that one
/// ping may be late.
pub(super) fn suggested_pause(timeout: Duration) -> Duration {
    let longest = timeout.as_secs_f64() * 0.45;
    let pause = PAUSES.into_iter().rev().find(|&pause| pause <= longest);
    Duration::from_secs_f64(pause.unwrap_or(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_close_reason_is_escaped_once() {
        let end = End {
            age: Duration::ZERO,
            silent: Duration::ZERO,
            seen: ObservedEnd::Close(4000),
            reason: String::new(),
            said: r"\u001b[2J".into(),
            is_asked: false,
        };
        assert_eq!(ending(&end), r#"Close 4000, "\u001b[2J""#);
    }

    #[test]
    fn two_pings_fit_into_the_timeout() {
        for (timeout, pause) in
            [(5.0, 2.0), (30.0, 12.0), (55.0, 20.0), (60.0, 25.0), (100.0, 40.0), (350.0, 150.0)]
        {
            let suggested = suggested_pause(Duration::from_secs_f64(timeout));
            assert_eq!(suggested.as_secs_f64(), pause, "{timeout}");
        }
        assert!(suggested_pause(Duration::from_millis(300)) < Duration::from_millis(150));
    }

    #[test]
    fn times_are_short() {
        let time = Duration::from_secs_f64;
        assert_eq!(range(time(4.9), time(5.0), time(5.3)), "5.0 s");
        assert_eq!(range(time(4.0), time(5.0), time(6.1)), "4.0 to 6.1 s");
        for (seconds, text) in [(360.0, "6 m"), (90.0, "90 s"), (60.0, "60 s"), (2.5, "2.5 s")] {
            assert_eq!(limit(time(seconds)), text);
        }
    }

    #[test]
    fn kinds_are_listed() {
        assert_eq!(listed(&[Kind::Message]), "messages");
        assert_eq!(
            listed(&[Kind::ProtocolPing, Kind::Message, Kind::TcpKeepalive]),
            "protocol pings, messages and TCP keepalive"
        );
        assert_eq!(sentence("éa b"), "Éa b.");
    }
}
