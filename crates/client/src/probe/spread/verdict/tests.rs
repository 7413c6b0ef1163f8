use super::*;
use crate::probe::instances::Instance;
use crate::probe::instances::shares::tests::shares;

fn finding(observed: &Observed) -> Finding<Fields> {
    super::finding(observed, true)
}

/// Observations of a first round with these connections to each instance.
fn observed(counts: &[(&str, usize)]) -> Observed {
    let shares = shares(counts);
    let (answered, by) = (shares.total(), Some(NameSource::Hello));
    let (asked, expect, is_whole) = (answered, 2, true);
    Observed { asked, answered, is_whole, by, shares, expect, ..Observed::default() }
}

/// A group for each key; each letter names the instance of one connection.
fn keyed(groups: &[&str]) -> KeyedConnections {
    let name = |name: char| Instance::from(name.to_string());
    KeyedConnections {
        groups: groups.iter().map(|group| group.chars().map(name).collect()).collect(),
    }
}

type Judged = (Option<Pattern>, Option<Sticky>, Option<bool>);

fn judged(observed: &Observed) -> Judged {
    let Finding { ok, fields, .. } = finding(observed);
    (fields.pattern, fields.sticky, ok)
}

#[test]
fn each_spread_has_its_verdict() {
    use Pattern::{Even, One, Skewed};
    for (what, counts, pattern, ok) in [
        ("in turn", &[("a", 100), ("b", 100)][..], Even, true),
        ("by chance", &[("a", 108), ("b", 92)], Even, true),
        ("a large difference of few", &[("a", 4), ("b", 1)], Even, true),
        ("80 to 20", &[("a", 160), ("b", 40)], Skewed, false),
        ("one of many is short", &[("a", 60), ("b", 60), ("c", 60), ("d", 20)], Skewed, false),
        ("one", &[("a", 200)], One, false),
    ] {
        assert_eq!(judged(&observed(counts)), (Some(pattern), None, Some(ok)), "{what}");
    }
}

#[test]
fn stickiness_is_told_apart_from_one_server() {
    let sticky = ["aaaa", "bbbb", "aaaa", "bbbb", "aaaa", "bbbb", "aaaa", "bbbb"];
    let one = ["aaa"; 16];
    let mixed = ["aba", "bab", "aab", "bba"];
    let of_one = || observed(&[("a", 200)]);
    let of_two = || observed(&[("a", 100), ("b", 100)]);
    for (what, seen, sticky, ok, said) in [
        (
            "by address",
            Observed { by_address: ByAddress::Addresses(keyed(&sticky)), ..of_one() },
            Some(Sticky::Address),
            true,
            "Sticky by address: 32 connections from 8 addresses of this machine went to 2 servers",
        ),
        (
            "one server, from everywhere",
            Observed { by_address: ByAddress::Addresses(keyed(&one)), ..of_one() },
            None,
            false,
            "went there as well: there is one server",
        ),
        (
            "one server, and nothing from elsewhere",
            Observed { by_address: ByAddress::Addresses(keyed(&[""; 16])), ..of_one() },
            None,
            false,
            "too few connections from other addresses could be made",
        ),
        (
            "several servers later on",
            Observed { by_address: ByAddress::Addresses(keyed(&mixed)), ..of_one() },
            None,
            true,
            "but not each address to one server",
        ),
        (
            "one address",
            Observed { by_address: ByAddress::OneAddress, ..of_one() },
            None,
            false,
            "cannot be told from one address",
        ),
        (
            "by a cookie of the balancer",
            Observed { by_cookie: Some(keyed(&sticky)), ..of_two() },
            Some(Sticky::Cookie),
            true,
            "Sticky by cookie: of 32 connections with 8 different cookies",
        ),
        (
            "by a cookie of the application, without which all go to one server",
            Observed { by_cookie: Some(keyed(&sticky)), ..of_one() },
            Some(Sticky::Cookie),
            true,
            "Sticky by cookie",
        ),
        (
            "a cookie that means nothing",
            Observed { by_cookie: Some(keyed(&mixed)), ..of_two() },
            None,
            true,
            "Not sticky: neither the address nor the cookies",
        ),
        ("no cookie", of_two(), None, true, "Not sticky by address, and the server sets no cookie"),
    ] {
        let found = finding(&seen);
        assert_eq!((found.fields.sticky, found.ok), (sticky, Some(ok)), "{what}: {}", found.text);
        assert!(found.text.contains(said), "{what}: {}", found.text);
    }
}

#[test]
fn refused_connections_and_missing_servers_are_no_good() {
    let refused = |mut observed: Observed| {
        observed.refusals.add("Connection refused".into());
        observed
    };
    let found = finding(&refused(observed(&[("a", 100), ("b", 100)])));
    assert_eq!((found.ok, found.fields.refused), (Some(false), 1));
    assert!(found.text.ends_with("1 connection refused (1 time: Connection refused)."));

    let found = finding(&Observed { expect: 3, ..observed(&[("a", 100), ("b", 100)]) });
    assert_eq!(found.ok, Some(false));
    assert!(found.text.contains("2 of 3 expected servers answered"), "{}", found.text);
    assert_eq!(finding(&Observed { expect: 1, ..observed(&[("a", 9)]) }).ok, Some(true));

    let found = finding(&refused(Observed::default()));
    assert_eq!((found.ok, found.fields.pattern), (Some(false), None));
    let expected = "no connection could be made. 1 connection refused (1 time: Connection refused). \
        run client why to find the cause.";
    assert_eq!(found.text, expected);
}

#[test]
fn without_names_of_instances_there_is_no_verdict() {
    assert_eq!(judged(&Observed::default()), (None, None, None));
    let header_names = vec!["server".into(), "date".into()];
    let nameless = Observed { answered: 5, is_whole: true, header_names, ..Observed::default() };
    let found = finding(&nameless);
    assert_eq!(found.ok, None);
    assert!(found.text.contains("nothing in the answers tells servers apart"), "{}", found.text);
    assert!(found.text.ends_with("the headers of an answer are: server, date"), "{}", found.text);
    let by = Some("header:x-served-by".parse().unwrap());
    let found = finding(&Observed { by, ..nameless });
    assert!(found.text.starts_with("none of 5 answers has the header x-served-by"));
}

#[test]
fn a_verdict_of_few_says_so() {
    let text = finding(&observed(&[("a", 3), ("b", 2)])).text;
    assert!(text.contains("so few show a strong skew only: try -n 100"), "{text}");
}

#[test]
fn an_interrupted_survey_gives_no_verdict_that_could_change() {
    let early = |counts| Observed { asked: 200, is_whole: false, ..observed(counts) };
    for (counts, ok) in [
        (&[("a", 30), ("b", 27)][..], Some(true)),
        (&[("a", 56), ("b", 1)], Some(false)),
        (&[("a", 57)], None),
    ] {
        let found = finding(&early(counts));
        assert_eq!(found.ok, ok, "{counts:?}");
        assert!(found.text.ends_with("That is after 57 of 200."), "{}", found.text);
    }
    let found = finding(&Observed { asked: 57, ..early(&[("a", 57)]) });
    assert_eq!(found.ok, None);
    assert!(found.text.ends_with("before all connections were opened that show stickiness."));
    let found = finding(&Observed { sets_cookies: true, ..early(&[("a", 30), ("b", 27)]) });
    assert!(found.text.contains(". Not sticky by address. That is after"), "{}", found.text);
    let found = finding(&Observed { answered: 57, ..early(&[]) });
    assert_eq!(found.ok, None);
    assert!(found.text.ends_with("That is after 57 of 200."), "{}", found.text);
}
