//! The verdict on an idle timeout.

use std::time::Duration;

use super::super::infer::Idle;
use super::super::kind::Kind;
use super::super::server_view::ServerView;
use super::words::{common_ending, listed, range, suggested_pause};
use super::{Case, Fields, Verdict, fitting, share};
use crate::format::seconds;
use crate::outage::observed_end::ObservedEnd;
use crate::probe::diagnosis;
use crate::record;

/// Programs that the answer to the upgrade may name, each with its settings of the idle timeout.
const SETTINGS: [(&str, &str); 5] = [
    ("nginx", "proxy_read_timeout and proxy_send_timeout"),
    ("HAProxy", "timeout tunnel, else timeout client and timeout server"),
    ("Apache", "Timeout"),
    ("Caddy", "read_timeout and write_timeout in transport http"),
    ("Envoy", "stream_idle_timeout"),
];

pub(super) fn verdict(case: &Case<'_>, idle: &Idle, fields: Fields) -> Verdict {
    let Case { found, all, server, server_view, .. } = case;
    let (fits, names) = fitting(case, diagnosis::Kind::Idle, idle.time, idle.is_dropped);
    let pause = (!found.kept.is_empty()).then(|| suggested_pause(idle.low.max(idle.high / 4)));
    let mut sentences = vec![cut(case, idle)];
    sentences.extend(traffic(case, pause));
    if let Some(lifetime) = &found.lifetime {
        let age = seconds(lifetime.time);
        sentences.push(format!(
            "Beside that, a connection is cut at an age of {age}, however busy ({})",
            common_ending(all, &lifetime.connections, lifetime.seen)
        ));
    }
    if let Some(instant) = &found.instant {
        sentences.push(format!(
            "After {} {} connections ended at one instant, busy or not, as a reload does",
            seconds(instant.at),
            instant.connections.len()
        ));
    }
    sentences.extend(server_view.map(ServerView::sentence));
    if let Some(pings) = found.server_pings {
        sentences.push(format!(
            "The server itself pings every {}, and that does not keep the connection",
            seconds(pings)
        ));
    }
    sentences.push(match server_view {
        Some(view) if view.is_by_server() => {
            "The timeout is that of the server, so that is where to change it".into()
        }
        _ => fits.unwrap_or_else(|| where_to_look(idle, server.answered_by.as_deref())),
    });
    let fields = Fields {
        idle_timeout: Some(record::seconds(idle.time)),
        cut_by: Some(idle.seen),
        suggest_ping: pause.map(record::seconds),
        lifetime: found.lifetime.as_ref().map(|lifetime| record::seconds(lifetime.time)),
        fits: names,
        ..fields
    };
    Verdict { ok: Some(false), sentences, fields }
}

/// `cut after 5.0 s without traffic (FIN, no Close; all 12 silent connections)`.
fn cut(case: &Case<'_>, idle: &Idle) -> String {
    let count = share(idle.connections.len(), idle.of, "silent connection");
    let how = common_ending(case.all, &idle.connections, idle.seen);
    let others = match (idle.of - idle.connections.len(), idle.later) {
        (0, _) => String::new(),
        (_, Some((low, high))) => format!("; others after {}", range(low, low, high)),
        (_, None) => "; the others hold longer, so not all ways there have this timeout".into(),
    };
    if !idle.is_dropped {
        let time = range(idle.low, idle.time, idle.high);
        return format!("cut after {time} without traffic ({how}; {count}{others})");
    }
    let half = seconds((idle.high - idle.low) / 2);
    let (time, low, high) = (seconds(idle.time), seconds(idle.low), seconds(idle.high));
    let then = match idle.seen {
        ObservedEnd::Silence => "what is sent then gets no answer".to_owned(),
        _ => format!("what is sent then is answered with the end ({how})"),
    };
    let before = match idle.low.is_zero() {
        true => String::new(),
        false => format!("after {low} of silence the server still answered; "),
    };
    format!(
        "dropped without a word after {time} ± {half} without traffic: the connection seems open, and {then} ({before}after {high} and longer it did not, {count})"
    )
}

/// Which traffic keeps the connection, and how often to send it.
fn traffic(case: &Case<'_>, pause: Option<Duration>) -> Vec<String> {
    let found = case.found;
    let useless: Vec<_> =
        found.not_kept.iter().copied().filter(|&kind| kind != Kind::Silent).collect();
    let Some(pause) = pause else {
        return vec![match useless.as_slice() {
            [] => {
                "What keeps it could not be told: no connection with traffic was there long enough"
                    .into()
            }
            useless => format!("{} did not keep it", listed(useless)),
        }];
    };
    let useless = match useless.as_slice() {
        [] => String::new(),
        useless => format!("; {} did not", listed(useless)),
    };
    let every =
        if pause.subsec_nanos() == 0 { format!("{} s", pause.as_secs()) } else { seconds(pause) };
    let what = match () {
        () if found.kept.contains(&Kind::ProtocolPing) => "ping",
        () if found.kept.contains(&Kind::Message) => "send a message",
        () => "send something that keeps it",
    };
    vec![format!("{} kept it{useless}", listed(&found.kept)), format!("{what} every {every}")]
}

/// Where to look for a timeout that fits no known limit.
fn where_to_look(idle: &Idle, answered_by: Option<&str>) -> String {
    let time = range(idle.low, idle.time, idle.high);
    match idle.seen {
        ObservedEnd::Close(4000..) => format!(
            "The code is one of an application's own (RFC 6455, section 7.4.2), so the timeout of {time} is most likely that of the server"
        ),
        ObservedEnd::Close(_) => format!(
            "A Close comes from the server or from a proxy that speaks WebSocket: look for a timeout of {time} there"
        ),
        _ if idle.is_dropped => "Fits no default that is known here: firewalls, NAT and balancers below HTTP drop connections like that".into(),
        _ => format!("Fits no default that is known here, so look for {time} in {}", settings(answered_by)),
    }
}

/// The settings of the program that the answer to the upgrade names, else of all known programs.
fn settings(answered_by: Option<&str>) -> String {
    let by = answered_by.unwrap_or_default();
    let named = |name: &str| by.to_lowercase().contains(&name.to_lowercase());
    match SETTINGS.into_iter().find(|(name, _)| named(name)) {
        Some((name, setting)) => format!(
            "{setting} of {name}, which the answer to the upgrade names ({by}), or in what else stands between"
        ),
        None => {
            let all = SETTINGS.map(|(name, setting)| format!("{name}: {setting}"));
            format!("what stands between ({}; a cloud balancer: its idle timeout)", all.join("; "))
        }
    }
}
