use super::super::stats::tests::{lose, stats};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn judged(stats: &Stats, max_gap: Option<u64>) -> (Option<bool>, String) {
    let summary = Summary { stats, max_gap: max_gap.map(Duration::from_secs) };
    (summary.is_ok(), joined(&summary.sentences(), true))
}

/// Two servers with fifty connections each; those of the first end within half a second.
fn drained(seen: ObservedEnd) -> Stats {
    let mut stats = stats(&"ab".repeat(50));
    for number in 0..50 {
        lose(&mut stats, "a", 60.0 + f64::from(number) / 100.0, seen);
    }
    stats
}

/// All fifty come back to this server, after one to two seconds.
fn back(stats: &mut Stats, name: &str) {
    (0..50).for_each(|number| {
        let gap = SECOND + SECOND.mul_f64(f64::from(number) / 50.0);
        stats.joined(Some(&name.into()), false, Some(gap));
    });
}

#[test]
fn connections_that_held_are_good() {
    let (ok, text) = judged(&stats(&"ab".repeat(50)), None);
    assert_eq!(ok, Some(true));
    assert_eq!(text, "none of 100 connections was lost in 0.0 s. The load is even: a 50, b 50.");
    let mut nameless = stats("aa");
    nameless.shares = Shares::default();
    assert_eq!(judged(&nameless, None).1, "none of 2 connections was lost in 0.0 s");
}

#[test]
fn a_server_that_stops_is_told() {
    let mut stats = drained(ObservedEnd::Close(1001));
    stats.new_connection(Some("b".into()));
    back(&mut stats, "b");
    let (ok, text) = judged(&stats, None);
    assert_eq!(ok, Some(false));
    for said in [
        "50 of 100 connections were lost in 0.0 s: 50 drained (Close 1001). ",
        "All were connections to a, none to any other server. It answers no new connection: it was stopped, replaced or taken out. ",
        "They were lost at one instant, ",
        "it took 1.98 s at worst and 1.48 s in the median. ",
        "No new connection was refused. ",
        "Before: a 50, b 50; after: b 100",
    ] {
        assert!(text.contains(said), "{said:?} in {text}");
    }
    assert_eq!(judged(&stats, Some(2)).0, Some(true));
    let (ok, text) = judged(&stats, Some(1));
    assert_eq!(ok, Some(false));
    assert!(text.ends_with(". That is longer than 1.00 s (--max-gap)."), "{text}");
}

#[test]
fn a_proxy_that_is_reloaded_is_told_apart_from_servers_that_stop() {
    let mut stats = stats(&"ab".repeat(50));
    for number in 0..100 {
        lose(&mut stats, ["a", "b"][number % 2], 60.0 + number as f64 / 1000.0, ObservedEnd::Fin);
    }
    back(&mut stats, "a");
    back(&mut stats, "b");
    let text = judged(&stats, None).1;
    for said in [
        "100 of 100 connections were lost in 0.0 s: 100 cut (FIN without a Close). ",
        "They were connections to all servers (a 50, b 50). The same servers still answer and were not restarted: what stands between, or the network, cut the connections. ",
        "They were lost at one instant",
        "The load after it is even; before: a 50, b 50; after: a 50, b 50",
    ] {
        assert!(text.contains(said), "{said:?} in {text}");
    }
}

#[test]
fn a_server_without_connections_makes_the_load_uneven() {
    let mut stats = drained(ObservedEnd::Fin);
    back(&mut stats, "b");
    stats.new_connection(Some("c".into()));
    let (_, text) = judged(&stats, None);
    assert!(text.contains("The load after it is not even (chance alone does that in less than 0.1% of all cases, chi-square test); before: a 50, b 50; after: b 100, c 0"), "{text}");
}

#[test]
fn names_that_stay_through_a_restart_tell_nothing_about_it() {
    let mut stats = drained(ObservedEnd::Fin);
    stats.by = Some(NameSource::Greeting);
    back(&mut stats, "a");
    let text = judged(&stats, None).1;
    assert!(
        text.contains("All were connections to a, none to any other server. They were lost"),
        "{text}"
    );
}

#[test]
fn one_lost_connection_is_no_pattern() {
    let mut stats = stats("aabb");
    lose(&mut stats, "a", 5.0, ObservedEnd::Rst);
    stats.joined(Some(&"a".into()), false, Some(SECOND));
    let text = judged(&stats, None).1;
    assert!(text.starts_with("1 of 4 connections was lost in 0.0 s: 1 reset (RST). All"), "{text}");
    assert!(!text.contains("instant"), "{text}");
}

#[test]
fn late_replies_count_for_the_longest_gap() {
    let mut stats = stats("ab");
    stats.stalled(SECOND * 4);
    let (ok, text) = judged(&stats, None);
    assert_eq!(ok, Some(true));
    assert!(
        text.contains("1 reply came late over connections that held, up to 4.00 s after"),
        "{text}"
    );
    assert_eq!(judged(&stats, Some(3)).0, Some(false));
    assert_eq!(judged(&stats, Some(5)).0, Some(true));
    stats.wait(true);
    let (ok, text) = judged(&stats, Some(5));
    assert_eq!(ok, Some(false));
    assert!(text.contains("1 connection had waited for a reply at the end"), "{text}");
}

#[test]
fn connections_that_do_not_come_back_are_told() {
    let mut stats = drained(ObservedEnd::Silence);
    (0..50).for_each(|_| stats.unfinished(SECOND * 70));
    stats.refuse("Connection refused".into(), true);
    let (ok, text) = judged(&stats, Some(100));
    assert_eq!(ok, Some(false));
    for said in [
        "50 given up (no reply)",
        "it took 70.0 s at worst and 70.0 s in the median; 50 did not come back by the end. ",
        "1 refusal of new connections (1 time: Connection refused)",
    ] {
        assert!(text.contains(said), "{said:?} in {text}");
    }
    assert!(!text.contains("--max-gap"), "no gap is longer, and some go on: {text}");
    assert!(judged(&stats, Some(60)).1.contains("That is longer than 60.0 s (--max-gap)"));
}

#[test]
fn without_connections_the_verdict_says_why() {
    let mut stats = Stats::new(3);
    assert_eq!(judged(&stats, None), (None, "it ended before a connection was made".into()));
    stats.refuse("full".into(), false);
    let (ok, text) = judged(&stats, None);
    assert_eq!(ok, Some(false));
    let expected = "no connection could be made. 1 refusal of new connections (1 time: full). \
        run client why to find the cause.";
    assert_eq!(text, expected);
    stats.tried();
    stats.joined(None, true, None);
    for max_gap in [None, Some(9)] {
        let (ok, text) = judged(&stats, max_gap);
        assert_eq!(ok, None);
        assert!(text.contains("That is before all 3 were opened"), "{text}");
    }
    (0..2).for_each(|_| stats.tried());
    for max_gap in [None, Some(9)] {
        let (ok, text) = judged(&stats, max_gap);
        assert_eq!(ok, Some(false));
        assert!(text.contains("2 of 3 connections could never be made"), "{text}");
        assert!(!text.contains("That is longer"), "{text}");
    }
}
