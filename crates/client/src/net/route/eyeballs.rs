//! Happy Eyeballs (RFC 8305): the addresses of a name are tried in turn, and an attempt that takes
//! long does not hold up the next one.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::select;
use tokio::time::{Instant, sleep, sleep_until};

use crate::format::seconds;

/// Head start of an attempt over the next one: the "Connection Attempt Delay" (section 5).
const DELAY: Duration = Duration::from_millis(250);

/// Most addresses with the same cause that are listed.
const SHOWN: usize = 4;

/// Why an address cannot be used.
pub(super) type Failure = (SocketAddr, String);

/// Whether an address refuses connections: the host answers, and nobody listens on the port.
pub(super) fn is_refusal(cause: &str) -> bool {
    cause.contains("refused")
}

/// The addresses in the order of their attempts: the family of the first, which the system prefers,
/// takes turns with the other (section 4).
pub(super) fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let is_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, others): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == is_ipv6);
    let mut others = others.into_iter();
    let mut order: Vec<_> = preferred
        .into_iter()
        .flat_map(|address| [Some(address), others.next()])
        .flatten()
        .collect();
    order.extend(others);
    order
}

/// The first attempt that succeeds, with its address. The next attempt begins when one fails, or
/// [`DELAY`] after the last one began.
///
/// # Errors
/// Why each of the attempts that began by `deadline` failed.
pub(super) async fn race<T>(
    addresses: &[SocketAddr],
    deadline: Instant,
    attempt: impl AsyncFn(SocketAddr) -> Result<T, String>,
) -> Result<(SocketAddr, T), Vec<Failure>> {
    let begun = Instant::now();
    let mut running = FuturesUnordered::new();
    let mut failures = Vec::new();
    let mut tried = 0;
    loop {
        if let Some(&address) = addresses.get(tried) {
            tried += 1;
            let attempt = &attempt;
            running.push(async move { (address, attempt(address).await) });
        }
        if running.is_empty() {
            return Err(failures);
        }
        select! {
            biased;
            Some((address, outcome)) = running.next() => match outcome {
                Ok(connected) => return Ok((address, connected)),
                Err(cause) => failures.push((address, cause)),
            },
            () = sleep(DELAY), if tried < addresses.len() => {}
            () = sleep_until(deadline) => {
                let cause = format!("no answer within {}", seconds(begun.elapsed()));
                for &address in &addresses[..tried] {
                    if failures.iter().all(|(failed, _)| *failed != address) {
                        failures.push((address, cause.clone()));
                    }
                }
                return Err(failures);
            }
        }
    }
}

/// The failures in one line, addresses with the same cause together.
pub(super) fn summary(failures: &[Failure]) -> String {
    let mut causes: Vec<(&str, Vec<String>)> = Vec::new();
    for (address, cause) in failures {
        match causes.iter_mut().find(|(known, _)| known == cause) {
            Some((_, addresses)) => addresses.push(address.to_string()),
            None => causes.push((cause, vec![address.to_string()])),
        }
    }
    let one = |(cause, addresses): &(&str, Vec<String>)| {
        let more = match addresses.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let shown = addresses[..addresses.len().min(SHOWN)].join(", ");
        format!("TCP to {shown}{more}: {cause}")
    };
    causes.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::future::pending;

    /// Addresses of the families that the letters of `families` name.
    fn addresses(families: &str) -> Vec<SocketAddr> {
        let address = |(number, family): (usize, char)| {
            let text = if family == '4' { "192.0.2.1" } else { "[2001:db8::1]" };
            format!("{text}:{}", number + 1).parse().unwrap()
        };
        families.chars().enumerate().map(address).collect()
    }

    /// The port of the address that won, or the failures; the time of the race; and the start of
    /// each attempt in milliseconds.
    async fn raced(
        count: usize,
        attempt: impl AsyncFn(u16) -> Result<(), String>,
    ) -> (Result<u16, String>, Duration, Vec<u128>) {
        let (begun, begins) = (Instant::now(), RefCell::new(Vec::new()));
        let deadline = begun + Duration::from_secs(5);
        let attempt = async |address: SocketAddr| {
            begins.borrow_mut().push(begun.elapsed().as_millis());
            attempt(address.port()).await
        };
        let outcome = race(&addresses(&"4".repeat(count)), deadline, attempt).await;
        let outcome =
            outcome.map(|(address, ())| address.port()).map_err(|causes| summary(&causes));
        (outcome, begun.elapsed(), begins.into_inner())
    }

    #[test]
    fn the_families_take_turns_beginning_with_the_first() {
        for (families, order) in [
            ("666444", [1, 4, 2, 5, 3, 6].as_slice()),
            ("4466", &[1, 3, 2, 4]),
            ("6444", &[1, 2, 3, 4]),
            ("4664", &[1, 2, 4, 3]),
            ("44", &[1, 2]),
            ("", &[]),
        ] {
            let ports: Vec<_> =
                interleaved(addresses(families)).iter().map(SocketAddr::port).collect();
            assert_eq!(ports, order, "{families}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_first_address_costs_250_ms() {
        let (outcome, time, begins) =
            raced(3, async |port| if port == 1 { pending().await } else { Ok(()) }).await;
        assert_eq!((outcome, time), (Ok(2), Duration::from_millis(250)));
        assert_eq!(begins, [0, 250]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_refuses_costs_nothing() {
        let attempt = async |port| if port < 3 { Err("refused".into()) } else { Ok(()) };
        assert_eq!(raced(3, attempt).await, (Ok(3), Duration::ZERO, vec![0, 0, 0]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_address_may_still_win() {
        let attempt = async |port| {
            sleep(Duration::from_millis(if port == 1 { 600 } else { 1000 })).await;
            Ok(())
        };
        let (outcome, time, begins) = raced(5, attempt).await;
        assert_eq!((outcome, time), (Ok(1), Duration::from_millis(600)));
        assert_eq!(begins, [0, 250, 500]);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_with_the_same_cause_are_one_summary() {
        let attempt = async |port| match port {
            1 | 3 => pending().await,
            port => Err(format!("{} is down", port / 4)),
        };
        let (outcome, time, _) = raced(5, attempt).await;
        assert_eq!(time, Duration::from_secs(5));
        assert_eq!(
            outcome.unwrap_err(),
            "TCP to 192.0.2.1:2: 0 is down; TCP to 192.0.2.1:4, 192.0.2.1:5: 1 is down; TCP to 192.0.2.1:1, 192.0.2.1:3: no answer within 5.0 s"
        );
        let (outcome, _, _) = raced(6, async |_| Err("refused".into())).await;
        let many = "TCP to 192.0.2.1:1, 192.0.2.1:2, 192.0.2.1:3, 192.0.2.1:4 and 2 more: refused";
        assert_eq!(outcome.unwrap_err(), many);
    }
}
