//! Parsing the text of a ping, and formatting its line in the log.

use std::hint::black_box;
use std::time::Duration;

use chrono::NaiveDate;
use criterion::Criterion;
use proto::{Ping, Stamp, line};

const DOCUMENTED: &str = r#"{"client_name": "Client-100", "message": "Ping!"}"#;

/// The same ping with the fields in another order, which the fast path does not parse.
const REORDERED: &str = r#"{"message":"Ping!","client_name":"Client-100"}"#;

const ESCAPED: &str = r#"{"client_name": "Client\t\"100\"", "message": "Ping\u0021"}"#;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    parse(&mut criterion);
    format(&mut criterion);
    stamp(&mut criterion);
    criterion.final_summary();
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for (form, text) in [("documented", DOCUMENTED), ("reordered", REORDERED), ("escaped", ESCAPED)]
    {
        group.bench_function(form, |bencher| bencher.iter(|| Ping::parse(black_box(text))));
    }
    group.finish();
}

fn format(criterion: &mut Criterion) {
    let stamp = Stamp::new(&NaiveDate::default().into());
    let mut group = criterion.benchmark_group("format");
    for (form, name) in [("plain", "Client-100"), ("escaped", "Client\t\"100\"")] {
        let ping = Ping { client_name: name.into(), message: "Ping!".into() };
        let mut lines = Vec::new();
        group.bench_function(form, |bencher| {
            bencher.iter(|| {
                lines.clear();
                line::append(&mut lines, black_box(&stamp), black_box(&ping));
            });
        });
    }
    group.finish();
}

fn stamp(criterion: &mut Criterion) {
    let at = NaiveDate::default().into();
    criterion.bench_function("stamp", |bencher| bencher.iter(|| Stamp::new(black_box(&at))));
}
