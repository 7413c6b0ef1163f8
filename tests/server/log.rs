//! The file: its lines, who writes it, how it is rotated, reopened and repaired.

use std::fs;
use std::path::Path;

use chrono::Utc;
use rustix::process::{Resource, Signal};

use crate::support::{Load, Log, TestServer, eventually, first, frame, ping_text};

/// The name of the file that a second server writes to.
fn beside() -> String {
    let host = rustix::system::uname();
    format!("server_logs.{}.txt", host.nodename().to_str().unwrap())
}

#[test]
fn a_pong_comes_only_after_its_line() {
    for sync in ["no", "everysec", "always"] {
        let server = TestServer::builder().env("LOG_SYNC", sync).start();
        // Others at the same time, so that batches are shared.
        let load = Load::start(server.address(), "Load", 2, 8);
        let mut client = server.connect();
        for number in 0..50 {
            let message = format!("{sync} {number}");
            assert_eq!(client.ping("Client-300", &message), "Pong!");
            let log = server.log_text();
            let line = format!("Recieved from client (\"Client-300\"): {message}\n");
            assert_eq!(log.matches(&line).count(), 1, "{line}");
        }
        let tallies = load.finish();
        server.log().assert_holds_all_of(&tallies);
    }
}

#[test]
fn times_never_run_backwards_over_all_workers() {
    let server = TestServer::builder().env("WORKERS", "4").start();
    let load = Load::start(server.address(), "Load", 8, 4);
    let begun = Utc::now().timestamp();
    eventually("the second is over", || (Utc::now().timestamp() > begun).then_some(()));
    load.wait_for(1000);
    let tallies = load.finish();
    let log = server.log();
    log.assert_holds_all_of(&tallies);
    log.assert_time_never_runs_backwards();
    assert!(log.lines().first().unwrap().at < log.lines().last().unwrap().at);
}

#[test]
fn a_server_goes_on_in_the_file_of_the_one_before() {
    let mut server = TestServer::start();
    assert_eq!(server.connect().ping("Client-100", "one"), "Pong!");
    assert_eq!(server.stop().0, Some(0));
    let server = server.again().start();
    assert_eq!(server.connect().ping("Client-100", "two"), "Pong!");
    assert_eq!(server.log().pings(), [("Client-100", "one"), ("Client-100", "two")]);
    assert_eq!(server.events("WARN"), [""; 0]);
}

#[test]
fn a_torn_line_is_cut_off_at_the_start_and_shown() {
    const WHOLE: &str = "[19-12-2023 12:43:12] Recieved from client (\"Client-300\"): Ping!\n";
    let builder = TestServer::builder();
    let path = builder.dir().join("server_logs.txt");
    fs::write(&path, format!("{WHOLE}[19-12-2023 12:43:13] Recieved fr")).unwrap();
    let server = builder.start();
    let warning = server.event("WARN");
    assert!(warning.contains("server_logs.txt"), "{warning}");
    assert!(warning.contains("[19-12-2023 12:43:13] Recieved fr"), "{warning}");
    assert_eq!(server.log_text(), WHOLE);
    server.assert_serves();
    assert_eq!(server.log().lines().len(), 2);
}

#[test]
fn a_torn_line_is_shown_without_harm_to_the_terminal() {
    let builder = TestServer::builder();
    let torn = [&b"\x1b[2J\xff\r"[..], &[b'x'; 10_000]].concat();
    fs::write(builder.dir().join("server_logs.txt"), torn).unwrap();
    let server = builder.start();
    let warning = server.event("WARN");
    assert!(warning.contains("10006 bytes"), "{warning}");
    assert!(!warning.contains(['\u{1b}', '\r']) && warning.len() < 1000, "{warning:?}");
    assert_eq!(server.log_text(), "");
}

#[test]
fn a_second_server_on_the_same_file_writes_beside_it_and_says_so() {
    let first = TestServer::start();
    let second = first.again().start();
    let third = first.again().start();
    let told = second.event("WARN");
    assert!(told.contains("server_logs.txt") && told.contains(&beside()), "{told}");
    for (number, server) in [&first, &second, &third].into_iter().enumerate() {
        assert_eq!(server.connect().ping("Client-100", &number.to_string()), "Pong!");
    }
    assert_eq!(first.log().pings(), [("Client-100", "0")]);
    assert_eq!(Log::read(&first.dir().join(beside())).pings(), [("Client-100", "1")]);
    assert_eq!(Log::files(first.dir()).len(), 3);
    assert_eq!(Log::read_all(first.dir()).lines().len(), 3);
}

#[test]
fn servers_that_rotate_side_by_side_lose_no_line() {
    let rotating = |server: &TestServer| server.again().env("LOG_MAX_BYTES", "4K").start();
    let first = TestServer::builder().env("LOG_MAX_BYTES", "4K").start();
    let second = rotating(&first);
    let loads = [(&first, "First"), (&second, "Second")]
        .map(|(server, name)| Load::start(server.address(), name, 2, 5));
    loads.iter().for_each(|load| load.wait_for(1000));
    let tallies: Vec<_> = loads.into_iter().flat_map(Load::finish).collect();
    Log::read_all(first.dir()).assert_holds_all_of(&tallies);
}

#[test]
fn without_its_folder_a_server_does_not_start() {
    let builder = TestServer::builder();
    let missing = builder.dir().join("missing/server_logs.txt");
    let finished = builder.env("LOG_FILE", &missing).run();
    assert_eq!(finished.status, Some(1), "{finished:?}");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
    assert!(finished.stderr.contains("LOG_FILE"), "{finished:?}");
    assert!(finished.stderr.contains(missing.to_str().unwrap()), "{finished:?}");
}

#[test]
fn a_folder_in_place_of_the_file_stops_the_start() {
    let builder = TestServer::builder();
    fs::create_dir(builder.dir().join("server_logs.txt")).unwrap();
    let finished = builder.run();
    assert_eq!(finished.status, Some(1), "{finished:?}");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
    assert!(finished.stderr.contains("LOG_FILE"), "{finished:?}");
}

#[test]
fn sighup_after_a_rename_reopens_the_file_and_loses_no_line_under_load() {
    let server = TestServer::builder().env("WORKERS", "2").start();
    let load = Load::start(server.address(), "Load", 4, 16);
    for number in 1..=10 {
        load.wait_for(100);
        fs::rename(server.log_path(), server.dir().join(format!("server_logs.{number}"))).unwrap();
        load.wait_for(100);
        server.signal(Signal::HUP);
        eventually("the file is made again", || server.log_path().exists().then_some(()));
    }
    load.wait_for(100);
    let tallies = load.finish();
    assert_eq!(Log::files(server.dir()).len(), 11);
    assert_ne!(server.log().lines().len(), 0);
    Log::read_all(server.dir()).assert_holds_all_of(&tallies);
    server.event("reopened");
}

#[test]
fn sighup_without_a_rename_changes_nothing() {
    let server = TestServer::start();
    assert_eq!(server.connect().ping("Client-100", "one"), "Pong!");
    server.signal(Signal::HUP);
    server.event("nothing to reopen");
    assert_eq!(server.connect().ping("Client-100", "two"), "Pong!");
    assert_eq!(server.log().lines().len(), 2);
}

#[test]
fn a_log_that_was_deleted_comes_back() {
    let server = TestServer::start();
    let mut client = server.connect();
    assert_eq!(client.ping("Client-100", "before"), "Pong!");
    fs::remove_file(server.log_path()).unwrap();
    eventually("the file is made again", || {
        assert_eq!(client.ping("Client-100", "after"), "Pong!");
        server.log_path().exists().then_some(())
    });
    assert!(server.event("WARN").contains("deleted"));
    assert_eq!(client.ping("Client-100", "later"), "Pong!");
    assert_eq!(server.log().pings().last(), Some(&("Client-100", "later")));
}

#[test]
fn a_log_that_was_truncated_goes_on() {
    let server = TestServer::start();
    let mut client = server.connect();
    assert_eq!(client.ping("Client-100", "before"), "Pong!");
    fs::write(server.log_path(), "").unwrap();
    assert_eq!(client.ping("Client-100", "after"), "Pong!");
    assert_eq!(server.log().pings(), [("Client-100", "after")]);
}

#[test]
fn rotation_under_load_loses_no_line_and_keeps_to_the_size() {
    let server = TestServer::builder().env("WORKERS", "4").env("LOG_MAX_BYTES", "16K").start();
    let load = Load::start(server.address(), "Load", 16, 10);
    load.wait_for(8000);
    let tallies = load.finish();
    Log::read_all(server.dir()).assert_holds_all_of(&tallies);
    let files = Log::files(server.dir());
    assert!(files.len() > 20, "{files:?}");
    for path in &files {
        let size = fs::metadata(path).unwrap().len();
        assert!(size <= 16 * 1024, "{}: {size}", path.display());
        assert!(size > 15 * 1024 || *path == server.log_path(), "{}: {size}", path.display());
    }
    // The higher the number, the older the file.
    let rotated =
        |number: usize| Log::read(&server.dir().join(format!("server_logs.txt.{number}")));
    let oldest_first: Vec<_> = (1..files.len()).rev().map(rotated).chain([server.log()]).collect();
    oldest_first.iter().for_each(Log::assert_time_never_runs_backwards);
    for pair in oldest_first.windows(2) {
        assert!(pair[0].lines().last().unwrap().at <= pair[1].lines()[0].at);
    }
}

#[test]
fn log_keep_bounds_the_number_of_rotated_files() {
    let keep = |keep| {
        TestServer::builder().env("LOG_MAX_BYTES", "1K").env("LOG_KEEP", keep).env("WORKERS", "1")
    };
    for (number, files) in [("1", 2), ("3", 4)] {
        let server = keep(number).start();
        let mut client = server.connect();
        let mut expected = Vec::new();
        for number in 0..200 {
            assert_eq!(client.ping("Client-100", &number.to_string()), "Pong!");
            assert!(Log::files(server.dir()).len() <= files);
            expected.push(number.to_string());
        }
        assert_eq!(Log::files(server.dir()).len(), files);
        // What is left are the latest lines, without a gap.
        let rotated = (1..files).rev().map(|n| server.dir().join(format!("server_logs.txt.{n}")));
        let logs: Vec<_> =
            rotated.chain([server.log_path()]).map(|path| Log::read(&path)).collect();
        let left: Vec<_> =
            logs.iter().flat_map(Log::lines).map(|line| line.message.clone()).collect();
        assert!(expected.ends_with(&left), "{left:?}");
    }
}

#[test]
fn a_file_that_is_full_at_the_start_is_rotated_with_the_first_ping() {
    let mut server = TestServer::start();
    assert_eq!(server.connect().ping("Client-100", "one"), "Pong!");
    server.stop();
    let server = server.again().env("LOG_MAX_BYTES", "64").start();
    assert_eq!(server.connect().ping("Client-100", "two"), "Pong!");
    assert_eq!(server.log().pings(), [("Client-100", "two")]);
    let rotated = Log::read(&server.dir().join("server_logs.txt.1"));
    assert_eq!(rotated.pings(), [("Client-100", "one")]);
}

#[test]
fn a_rotation_for_which_there_was_no_descriptor_is_made_up_for() {
    let server = TestServer::builder().env("LOG_MAX_BYTES", "1K").env("WORKERS", "1").start();
    let mut client = server.connect();
    let mut sent = 0;
    let mut ping = |count: usize| {
        for _ in 0..count {
            assert_eq!(client.ping("Client-100", &sent.to_string()), "Pong!");
            sent += 1;
        }
    };
    ping(1);
    server.limit(Resource::Nofile, Some(server.free_descriptor()));
    ping(60);
    server.limit(Resource::Nofile, Some(1000));
    ping(100);
    let log = Log::read_all(server.dir());
    let mut numbers: Vec<usize> =
        log.lines().iter().map(|line| line.message.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..161).collect::<Vec<_>>());
    assert_eq!(server.log().lines().last().unwrap().message, "160");
    assert!(fs::metadata(server.log_path()).unwrap().len() <= 1024);
}

#[test]
fn a_device_may_be_the_log() {
    let server = TestServer::builder().env("LOG_FILE", "/dev/null").start();
    server.assert_serves();
    assert!(String::from_utf8_lossy(&server.stdout()).lines().count() <= 1);
}

#[test]
fn log_sync_always_serves_many_pings_at_once() {
    let server = TestServer::builder().env("LOG_SYNC", "always").start();
    let load = Load::start(server.address(), "Load", 8, 32);
    load.wait_for(2000);
    let tallies = load.finish();
    server.log().assert_holds_all_of(&tallies);
}

/// The system calls of a server under `strace`, one a line.
mod traced {
    use super::*;

    fn trace(sync: &str) -> (TestServer, String) {
        let builder = TestServer::builder().env("LOG_SYNC", sync).env("WORKERS", "1");
        let calls = "trace=fdatasync,fsync,write,writev,sendto,sendmsg";
        let strace = ["strace", "-D", "-f", "-y", "-q", "-s", "200", "-o", "trace", "-e", calls];
        let mut server = builder.under(strace).start();
        let mut client = server.raw();
        client.send(&frame(first::TEXT, ping_text("Client-300", "Ping!").as_bytes()));
        assert_eq!(client.frame().text(), "Pong!");
        let trace = server.dir().join("trace");
        if sync == "everysec" {
            eventually("the log is synced", || synced(&read(&trace)));
        }
        drop(client);
        let pid = server.pid().to_string();
        let ends = |line: &str| {
            let rest = line.strip_prefix(&pid).unwrap_or_default();
            rest.trim_start().starts_with("+++ exited with 0")
        };
        assert_eq!(server.stop().0, Some(0));
        let trace = eventually("the trace is complete", || {
            Some(read(&trace)).filter(|trace| trace.lines().any(ends))
        });
        (server, trace)
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    fn line_of(trace: &str, matches: impl Fn(&str) -> bool) -> Option<usize> {
        trace.lines().position(matches)
    }

    /// When the first sync was done.
    fn synced(trace: &str) -> Option<usize> {
        line_of(trace, |line| line.contains("fdatasync") && line.ends_with("= 0"))
    }

    fn recorded(trace: &str) -> Option<usize> {
        line_of(trace, |line| line.contains("Recieved from") && line.contains("server_logs.txt"))
    }

    fn answered(trace: &str) -> Option<usize> {
        line_of(trace, |line| line.contains("Pong!"))
    }

    #[test]
    #[ignore = "needs strace"]
    fn log_sync_always_brings_the_line_to_the_disk_before_the_pong() {
        let (_server, trace) = trace("always");
        let order = [recorded(&trace), synced(&trace), answered(&trace)];
        assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{order:?}\n{trace}");
    }

    #[test]
    #[ignore = "needs strace"]
    fn log_sync_everysec_brings_the_line_to_the_disk_after_the_pong() {
        let (_server, trace) = trace("everysec");
        let order = [recorded(&trace), answered(&trace), synced(&trace)];
        assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{order:?}\n{trace}");
    }

    #[test]
    #[ignore = "needs strace"]
    fn log_sync_no_leaves_the_disk_to_the_system() {
        let (_server, trace) = trace("no");
        let order = [recorded(&trace), answered(&trace)];
        assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{order:?}\n{trace}");
        assert_eq!(synced(&trace), None, "{trace}");
    }

    #[test]
    #[ignore = "needs strace"]
    fn a_last_sync_that_fails_is_a_failure() {
        let builder = TestServer::builder().env("LOG_SYNC", "everysec");
        let mut server = builder
            .under(["strace", "-D", "-f", "-qq", "-o", "trace"])
            .under(["-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO"])
            .start();
        assert_eq!(server.connect().ping("Client-300", "Ping!"), "Pong!");
        // Long before the second is over in which the log is synced by itself.
        assert_eq!(server.stop().0, Some(1));
        assert_eq!(server.events("ERROR").len(), 1);
    }

    #[test]
    #[ignore = "needs strace"]
    fn a_sync_that_fails_ends_the_server_and_leaves_the_ping_without_a_pong() {
        for sync in ["always", "everysec"] {
            let builder = TestServer::builder().env("LOG_SYNC", sync);
            let log = builder.dir().join("server_logs.txt");
            fs::write(&log, "").unwrap();
            let fault = "inject=fdatasync:error=EIO";
            let mut server = builder
                .under(["strace", "-D", "-f", "-qq", "-o", "trace", "-P", log.to_str().unwrap()])
                .under(["-e", "trace=fdatasync", "-e", fault])
                .start();
            let mut client = server.raw();
            client.send(&frame(first::TEXT, ping_text("Client-300", "Ping!").as_bytes()));
            let frames = client.frames_to_the_end();
            let pongs = frames.iter().filter(|frame| frame.payload == b"Pong!").count();
            assert_eq!(pongs, usize::from(sync == "everysec"), "{frames:?}");
            assert_eq!(frames.last().unwrap().close_code(), Some(1001), "{frames:?}");
            assert_eq!(server.wait().code(), Some(1));
            let told = server.events("ERROR");
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].contains("Input/output error"), "{told:?}");
        }
    }
}
