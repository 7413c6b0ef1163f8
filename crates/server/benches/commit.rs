//! The time to commit a batch of pings to the log file, from formatting the lines to the write.

use std::fs::OpenOptions;
use std::hint::black_box;
use std::io;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use proto::Ping;
use server::journal::{Journal, OpenError, Options, Recorder, SyncPolicy};

/// Pings in a batch: a lone one, those of a busy connection, those of many connections.
const BATCHES: [u64; 3] = [1, 16, 1024];

fn main() -> io::Result<()> {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    commit(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}

fn commit(criterion: &mut Criterion) -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    // No sync: the disk is not measured.
    let options = Options { path: dir.path().join("log"), sync: SyncPolicy::No, rotation: None };
    let (journal, _closer) = Journal::open(&options, io::sink())
        .map_err(|(OpenError::File(error) | OpenError::Thread(error))| error)?;
    // For emptying the file between two measurements, or it would grow by gigabytes.
    let file = OpenOptions::new().write(true).open(journal.path())?;
    let mut recorder = journal.recorder(|| ());
    let mut group = criterion.benchmark_group("commit");
    for pings in BATCHES {
        group.throughput(Throughput::Elements(pings));
        group.bench_function(BenchmarkId::from_parameter(pings), |bencher| {
            bencher.iter_custom(|batches| {
                let emptied = file.set_len(0);
                assert!(emptied.is_ok(), "the log cannot be emptied: {emptied:?}");
                let begun = Instant::now();
                (0..batches).for_each(|_| commit_batch(&mut recorder, pings));
                begun.elapsed()
            });
        });
    }
    group.finish();
    Ok(())
}

fn commit_batch(recorder: &mut Recorder, pings: u64) {
    let ping = Ping { client_name: "Client-100".into(), message: "Ping!".into() };
    for _ in 0..pings {
        recorder.record(black_box(&ping));
    }
    let committed = recorder.commit();
    assert!(committed.error.is_none(), "the log cannot be written: {committed:?}");
}
