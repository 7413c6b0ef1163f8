//! Outages as text and as JSON.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Local};
use proto::escape;
use serde::Serialize;
use tokio::time::Instant;

use super::Outage;
use super::cause::Cause;
use super::history::History;
use super::observed_end::ObservedEnd;
use crate::format::seconds;
use crate::record;

/// Most outages listed in the statistics.
const SHOWN: usize = 10;

/// The JSON fields of an outage.
#[derive(Debug, Serialize)]
pub(crate) struct Fields<'a> {
    seen: ObservedEnd,
    code: Option<u16>,
    reason: &'a str,
    length: f64,
    /// Whether a reply ended the outage.
    over: bool,
    age: Option<f64>,
    silent_received: Option<f64>,
    silent_sent: Option<f64>,
    /// The instances that answered before and after; `None` for servers that do not name their
    /// instance.
    before: Option<&'a str>,
    after: Option<&'a str>,
}

impl Outage {
    /// The outage as a JSON object.
    pub(crate) fn fields(&self) -> Fields<'_> {
        let cut = |time: fn(&super::activity::AgeAtEnd) -> Duration| {
            self.cut.as_ref().map(|cut| record::seconds(time(cut)))
        };
        Fields {
            seen: self.seen,
            code: self.seen.code(),
            reason: &self.reason,
            length: record::seconds(self.length),
            over: self.is_over,
            age: cut(|cut| cut.age),
            silent_received: cut(|cut| cut.silent_received),
            silent_sent: cut(|cut| cut.silent_sent),
            before: self.before.as_deref(),
            after: self.after.as_deref(),
        }
    }

    /// Wall-clock time of the beginning.
    pub(crate) fn began_at(&self) -> SystemTime {
        let now = SystemTime::now();
        now.checked_sub(self.began.elapsed()).unwrap_or(now)
    }

    fn line(&self) -> String {
        let began = DateTime::<Local>::from(self.began_at()).format("%d-%m-%Y %H:%M:%S");
        let length = seconds(self.length);
        let goes_on = if self.is_over { "" } else { " and going on" };
        let connection = self.cut.map_or_else(String::new, |cut| {
            let [age, received, sent] =
                [cut.age, cut.silent_received, cut.silent_sent].map(seconds);
            format!("; connected for {age}, silent for {received} (received) and {sent} (sent)")
        });
        let servers = match (&self.before, &self.after) {
            (Some(before), Some(after)) => {
                format!("; {} before, {} after", escape::plain(before), escape::plain(after))
            }
            _ => String::new(),
        };
        let Self { reason, seen, .. } = self;
        format!("  {began} for {length}{goes_on}: {reason} ({seen}){connection}{servers}\n")
    }
}

impl History {
    /// The statistics of the outages, ready to print; empty without outages.
    #[must_use]
    pub fn report(&self, now: Instant) -> String {
        if self.count() == 0 {
            return String::new();
        }
        let (count, availability) = (self.count(), self.availability(now) * 100.0);
        let (total, longest) = (seconds(self.total()), seconds(self.longest()));
        let mut report = format!(
            "outages: {count}, {total} in all, longest {longest}, availability {availability:.2}%\n"
        );
        let first = self.past().len().saturating_sub(SHOWN);
        self.past().skip(first).for_each(|outage| report.push_str(&outage.line()));
        if let Some(cause) = self.cause(now).filter(|_| self.cuts() > 1) {
            report.push_str(&format!("cause: {}\n", cause_line(cause)));
        }
        report
    }
}

/// The cause as a line of text.
fn cause_line(cause: Cause) -> String {
    match cause {
        Cause::Idle(time) => {
            format!("idle timeout: a connection without traffic is cut after {}", seconds(time))
        }
        Cause::Lifetime(time) => {
            format!("limit of the lifetime: a connection is cut at {}, however busy", seconds(time))
        }
        Cause::Instant => {
            "several connections were cut at once, as a reload or a rollout does".into()
        }
        Cause::Unknown => {
            "none: the cuts fit no idle timeout, no limit of the lifetime and no common instant"
                .into()
        }
    }
}
