//! The inference against a simulated network.

mod network;

use super::kind::Kind;
use crate::outage::observed_end::ObservedEnd;
use network::{CALM, Hits, Network, Outcome};

/// Checks an idle timeout, in seconds, to within half a second or a hundredth.
#[track_caller]
fn assert_idle(what: &str, network: &Network, expected: f64) -> Outcome {
    let outcome = network.probe();
    let text = outcome.assert_ok(Some(false));
    let off = (outcome.idle().time.as_secs_f64() - expected).abs();
    assert!(off <= (expected / 100.0).max(0.5), "{what}: {text}");
    assert_eq!(outcome.found.lifetime, None, "{what}: {text}");
    outcome
}

#[test]
fn idle_timeouts_are_found_wherever_they_are() {
    for seen in [ObservedEnd::Fin, ObservedEnd::Rst, ObservedEnd::Close(1001)] {
        for idle in [5.0, 7.3, 19.0] {
            let network = Network { idle: Some(idle), seen, ..CALM };
            let outcome = assert_idle("up to 20 s", &network, idle);
            assert_eq!(outcome.found.idle.unwrap().seen, seen);
            assert!(outcome.took < idle * 2.0 + 4.0, "{idle}: {}", outcome.took);
        }
    }
    for idle in [5.0, 15.0, 20.0, 30.0, 47.0, 60.0, 100.0, 240.0, 300.0, 350.0, 358.0] {
        let network = Network { idle: Some(idle), max: 360.0, is_probe: true, ..CALM };
        let outcome = assert_idle("up to 6 min", &network, idle);
        assert!(outcome.took < idle * 2.0 + 3.0 && outcome.took < idle + 24.0, "{}", outcome.took);
    }
    let network = Network { idle: Some(1.0), max: 4.0, ..CALM };
    assert!(assert_idle("a short one", &network, 1.0).took < 3.5);
}

#[test]
fn silent_drops_are_found_by_asking() {
    for seen in [ObservedEnd::Silence, ObservedEnd::Rst] {
        for (max, idle) in [
            (20.0, 5.2),
            (20.0, 19.6),
            (360.0, 5.0),
            (360.0, 12.5),
            (360.0, 30.0),
            (360.0, 38.4),
            (360.0, 60.0),
            (360.0, 70.0),
            (360.0, 150.0),
            (360.0, 350.0),
        ] {
            let network = Network { idle: Some(idle), max, seen, is_dropped: true, ..CALM };
            let what = format!("{idle} of {max}");
            let outcome = assert_idle(&what, &network, idle);
            let found = outcome.found.idle.unwrap();
            assert!(found.is_dropped && found.seen == seen, "{what}");
            let kept = [Kind::ProtocolPing, Kind::Message, Kind::UnaskedPong];
            assert_eq!(outcome.found.kept, kept, "{what}");
            assert_eq!(outcome.found.not_kept, [Kind::Silent, Kind::TcpKeepalive], "{what}");
        }
    }
}

#[test]
fn kinds_of_traffic_that_keep_a_connection_are_found() {
    let some = Network { idle: Some(5.0), is_probe: true, ..CALM };
    let outcome = assert_idle("all traffic", &some, 5.0);
    assert_eq!(
        outcome.found.kept,
        [
            Kind::ProtocolPing,
            Kind::Message,
            Kind::UnaskedPong,
            Kind::ServerPing,
            Kind::ServerMessage,
        ]
    );
    assert!(outcome.finding.text.contains("Ping every 2 s."), "{}", outcome.finding.text);

    let outcome =
        assert_idle("data alone", &Network { counts: Kind::has_data, ..some.clone() }, 5.0);
    assert_eq!(outcome.found.kept, [Kind::Message, Kind::ServerMessage]);
    assert_eq!(
        outcome.found.not_kept,
        [Kind::Silent, Kind::TcpKeepalive, Kind::ProtocolPing, Kind::UnaskedPong, Kind::ServerPing,]
    );
    let text = outcome.finding.text;
    assert!(text.contains("Send a message every 2 s."), "{text}");

    let keepalive = Network { counts: |kind| kind != Kind::Silent, ..some.clone() };
    let outcome = assert_idle("packets", &keepalive, 5.0);
    assert_eq!(outcome.found.not_kept, [Kind::Silent]);

    let from_server = |kind| matches!(kind, Kind::ServerMessage | Kind::Busy | Kind::Message);
    let outcome = assert_idle("one way", &Network { counts: from_server, ..some }, 5.0);
    assert_eq!(outcome.found.kept, [Kind::Message, Kind::ServerMessage]);
}

#[test]
fn one_connection_lost_by_chance_is_no_timeout() {
    for (lost, max) in [(&[(0, 2.3)][..], 20.0), (&[(4, 2.3)], 20.0), (&[(0, 31.0)], 360.0)] {
        let outcome = Network { max, lost, ..CALM }.probe();
        let text = outcome.assert_ok(Some(true));
        assert!(text.contains("1 further connection ended without a pattern"), "{text}");
        for is_dropped in [false, true] {
            let network = Network { max, idle: Some(max / 2.5), is_dropped, lost, ..CALM };
            let outcome = assert_idle("a timeout beside it", &network, max / 2.5);
            assert_eq!(outcome.found.lost.len(), 1, "{}", outcome.finding.text);
            let kept = [Kind::ProtocolPing, Kind::Message, Kind::UnaskedPong];
            assert_eq!(outcome.found.kept, kept, "{}", outcome.finding.text);
        }
    }
}

#[test]
fn many_connections_lost_without_a_pattern_leave_the_question_open() {
    let lost = &[(0, 2.3), (1, 5.1), (2, 7.4), (3, 9.9), (4, 12.3), (5, 15.8)];
    let outcome = Network { lost, ..CALM }.probe();
    let text = outcome.assert_ok(None);
    assert!(text.starts_with("cannot tell: "), "{text}");
}

#[test]
fn a_cap_on_the_lifetime_is_no_idle_timeout() {
    for (lifetime, max, seen) in [
        (7.0, 20.0, ObservedEnd::Fin),
        (30.0, 360.0, ObservedEnd::Close(1001)),
        (300.0, 360.0, ObservedEnd::Rst),
    ] {
        let outcome = Network { lifetime: Some(lifetime), max, seen, ..CALM }.probe();
        let text = outcome.assert_ok(Some(false));
        let found = outcome.assert_lifetime(lifetime, 0.5);
        assert_eq!((&outcome.found.idle, found), (&None, seen), "{text}");
        assert!(text.contains("busy or silent"), "{text}");
    }
}

#[test]
fn a_cap_that_drops_silently_is_found() {
    for (lifetime, max) in [(7.0, 20.0), (4.0, 8.0), (60.0, 360.0)] {
        let seen = ObservedEnd::Silence;
        let outcome =
            Network { max, seen, is_dropped: true, lifetime: Some(lifetime), ..CALM }.probe();
        let text = &outcome.finding.text;
        let found = outcome.assert_lifetime(lifetime, 1.0);
        assert_eq!((&outcome.found.idle, found), (&None, seen), "{text}");
        assert_eq!(outcome.found.lost.len(), 0, "{text}");
    }
}

#[test]
fn a_network_that_stands_still_has_no_timeout() {
    for (at, max) in [(7.0, 20.0), (3.0, 8.0), (100.0, 360.0)] {
        let instant = Some((at, (|_| true) as Hits));
        let network =
            Network { max, seen: ObservedEnd::Silence, is_dropped: true, instant, ..CALM };
        let outcome = network.probe();
        let text = outcome.assert_ok(None);
        assert_eq!((&outcome.found.idle, &outcome.found.lifetime), (&None, &None), "{text}");
        assert!(text.contains("stands still"), "{text}");
    }
}

#[test]
fn a_timeout_and_a_cap_are_both_found() {
    let outcome = Network { idle: Some(5.0), lifetime: Some(8.0), ..CALM }.probe();
    let text = outcome.assert_ok(Some(false));
    outcome.assert_lifetime(8.0, 0.5);
    assert!(text.starts_with("cut after 5.0 s without traffic"), "{text}");
    assert_eq!(outcome.found.kept, [Kind::ProtocolPing, Kind::Message, Kind::UnaskedPong]);
}

#[test]
fn ends_at_one_instant_are_neither_a_timeout_nor_a_cap() {
    for (seen, max) in
        [(ObservedEnd::Fin, 20.0), (ObservedEnd::Close(1001), 360.0), (ObservedEnd::Rst, 4.0)]
    {
        let instant = Some((max / 3.0, (|_| true) as Hits));
        let outcome = Network { max, seen, instant, ..CALM }.probe();
        let text = outcome.assert_ok(None);
        assert_eq!((&outcome.found.idle, &outcome.found.lifetime), (&None, &None), "{text}");
        assert!(text.contains("ended at the same instant"), "{text}");
        assert!(text.starts_with("all "), "{text}");
    }
}

#[test]
fn a_reload_among_the_connections_does_not_hide_the_timeout() {
    let instant = Some((3.0, (|number| number % 2 == 0) as Hits));
    let outcome = assert_idle("half", &Network { instant, idle: Some(8.0), ..CALM }, 8.0);
    assert!(outcome.found.instant.is_some(), "{}", outcome.finding.text);
    let outcome = Network { instant, ..CALM }.probe();
    assert!(outcome.assert_ok(Some(true)).contains("show no timeout up to 20 s"));
}

#[test]
fn jitter_and_rare_sweeps_of_the_proxy_do_not_matter() {
    let late = Network { idle: Some(5.0), jitter: 0.4, ..CALM };
    assert_idle("a busy machine", &late, 5.2);
    assert_idle("60 s", &Network { idle: Some(60.0), max: 360.0, jitter: 1.0, ..CALM }, 60.5);
    let sweeping = Network { idle: Some(5.0), sweep: Some(1.0), ..CALM };
    assert_idle("a sweep a second", &sweeping, 5.5);
    let rare = Network { idle: Some(5.0), sweep: Some(3.0), ..CALM }.probe();
    let text = &rare.finding.text;
    let (low, high) = (rare.idle().low.as_secs_f64(), rare.idle().high.as_secs_f64());
    assert!(low >= 5.0 && high <= 8.1, "{text}");
    assert!(text.contains("; others after "), "{text}");
    assert_eq!(rare.found.instant, None, "{text}");
    assert!(rare.json()["suggest_ping"].as_f64() <= Some(2.0), "{text}");
}

#[test]
fn a_server_that_pings_hides_longer_timeouts_only() {
    let pinging = Network { server_pings: Some(4.0), ..CALM };
    for idle in [None, Some(10.0)] {
        let outcome = Network { idle, ..pinging.clone() }.probe();
        let text = outcome.assert_ok(None);
        assert!(text.starts_with("cannot tell: the server itself pings every 4.0 s"), "{text}");
        assert_eq!(outcome.json()["server_pings"], 4.0);
    }
    assert_idle("the cut comes first", &Network { idle: Some(3.0), ..pinging.clone() }, 3.0);
    let data = Network { idle: Some(10.0), counts: Kind::has_data, ..pinging };
    let outcome = assert_idle("a proxy that counts data alone", &data, 10.0);
    assert_eq!(outcome.found.kept, [Kind::Message]);
}

#[test]
fn a_single_ping_of_the_server_is_no_interval() {
    for greeting in [0.0, 0.001, 0.5, 3.0] {
        let greeted = Network { greeting: Some(greeting), ..CALM };
        let outcome = greeted.probe();
        let text = outcome.assert_ok(Some(true));
        assert!(text.starts_with("no timeout up to 20 s"), "{greeting}: {text}");
        assert_eq!(outcome.json()["server_pings"], serde_json::Value::Null, "{greeting}");
        let outcome = assert_idle("cut", &Network { idle: Some(8.0), ..greeted.clone() }, 8.0);
        let text = &outcome.finding.text;
        assert!(!text.contains("The server itself pings"), "{greeting}: {text}");
    }
}

#[test]
fn two_proxies_with_two_timeouts_are_reported() {
    let outcome = Network { idle: Some(5.0), other_idle: Some(9.0), ..CALM }.probe();
    let text = &outcome.finding.text;
    assert!(text.starts_with("cut after 5.0 s without traffic"), "{text}");
    assert!(text.contains("; others after 9.0 s"), "{text}");
}

#[test]
fn no_timeout_is_good() {
    for (max, is_probe) in [(20.0, true), (360.0, false), (2.0, false)] {
        let outcome = Network { max, is_probe, ..CALM }.probe();
        let text = outcome.assert_ok(Some(true));
        assert!(text.starts_with("no timeout up to "), "{text}");
        assert!(outcome.took < max + 3.0);
    }
}

#[test]
fn the_fields_are_those_of_the_schema() {
    let json = Network { idle: Some(60.0), max: 360.0, ..CALM }.probe().json();
    assert_eq!(json["cut_by"], "fin");
    assert_eq!(json["kept_by"], serde_json::json!(["protocol-ping", "message", "unasked-pong"]));
    assert_eq!(json["not_kept_by"], serde_json::json!(["silent", "tcp-keepalive"]));
    assert_eq!(json["suggest_ping"], 25.0);
    assert!((json["idle_timeout"].as_f64().unwrap() - 60.0).abs() < 0.6);
    assert_eq!(json["fits"][0], "nginx proxy_read_timeout (60 s)");
}
