//! The log file: its lines, its lock, rotation, reopening and repair.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use chrono::Utc;
use rustix::process::{Resource, Signal};

use crate::support::{Builder, Load, Log, TestServer, eventually, ping_frame, wait_until};

/// The name of the file that a second server in a folder writes to.
fn beside() -> String {
    let host = rustix::system::uname();
    format!("server_logs.{}.txt", host.nodename().to_str().unwrap())
}

#[test]
fn a_pong_comes_only_after_its_line() {
    for sync in ["no", "everysec", "always"] {
        let server = TestServer::builder().env("LOG_SYNC", sync).start();
        // Other clients ping at the same time, so that batches have pings of several.
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
fn pings_that_repeat_others_of_all_kinds_have_their_own_lines() {
    let server = TestServer::start();
    let mut client = server.connect();
    let long = "x".repeat(300);
    let kinds =
        [("Client-300", "Ping!"), ("a\"b\u{202e}", "\t"), ("Client-301", "Ping?"), (&long, "é")];
    let mut expected = Vec::new();
    for round in 0..3 {
        for (name, message) in kinds {
            for _ in 0..=round {
                assert_eq!(client.ping(name, message), "Pong!");
                expected.push((name.to_owned(), message.to_owned()));
            }
        }
    }
    assert_eq!(client.ask("Ping!").split(' ').next(), Some("Error:"));
    let text = server.log_text();
    let logged: Vec<_> = text.lines().map(|line| line.split_once("client ").unwrap().1).collect();
    let line = |(name, message): &(String, String)| {
        let mut line = Vec::new();
        line.extend(b"(\"");
        proto::escape::quoted(&mut line, name);
        line.extend(b"\"): ");
        proto::escape::quoted(&mut line, message);
        String::from_utf8(line).unwrap()
    };
    assert_eq!(logged, expected.iter().map(line).collect::<Vec<_>>());
}

#[test]
fn times_never_run_backwards_over_all_workers() {
    let server = TestServer::builder().env("WORKERS", "4").start();
    let load = Load::start(server.address(), "Load", 8, 4);
    load.wait_for(1);
    let begun = Utc::now().timestamp();
    wait_until("the second is over", || Utc::now().timestamp() > begun);
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
fn control_characters_of_a_torn_line_are_escaped_in_the_warning() {
    let builder = TestServer::builder();
    let torn = [&b"\0\x1b[2J\xff\r"[..], &[b'x'; 10_000]].concat();
    fs::write(builder.dir().join("server_logs.txt"), torn).unwrap();
    let server = builder.start();
    let warning = server.event("WARN");
    assert!(warning.contains("10007 bytes"), "{warning}");
    assert!(!warning.contains(['\u{1b}', '\r', '\0']) && warning.len() < 1000, "{warning:?}");
    assert_eq!(server.log_text(), "");
}

#[test]
fn the_text_of_a_file_that_is_no_log_stays_and_the_log_begins_below() {
    let builder = TestServer::builder();
    let notes = format!("# Notes\n\u{1b}[2J{}", "x".repeat(5_000));
    fs::write(builder.dir().join("server_logs.txt"), &notes).unwrap();
    let server = builder.start();
    let warning = server.event("the last line of ");
    assert!(warning.contains("WARN") && warning.contains("server_logs.txt"), "{warning}");
    assert!(!warning.contains('\u{1b}') && warning.len() < 1000, "{warning:?}");
    server.assert_serves();
    let text = server.log_text();
    let log = text.strip_prefix(&format!("{notes}\n")).unwrap();
    assert_eq!(Log::parse(log.as_bytes()).pings(), [("Witness", "Ping!")]);
}

#[test]
fn a_second_server_on_the_same_file_writes_beside_it_and_says_so() {
    let first = TestServer::start();
    let second = first.again().start();
    let third = first.again().start();
    let reported = second.event("WARN");
    assert!(reported.contains("server_logs.txt") && reported.contains(&beside()), "{reported}");
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
    assert_eq!(second.events("another server writes to").len(), 1);
}

#[test]
fn without_its_folder_a_server_does_not_start() {
    let builder = TestServer::builder();
    let missing = builder.dir().join("missing/server_logs.txt");
    let reported = builder.env("LOG_FILE", &missing).fails(1);
    let advice =
        format!("; make the folder first: mkdir -p {}\n", missing.parent().unwrap().display());
    assert!(reported.contains("LOG_FILE"), "{reported}");
    assert!(reported.ends_with(&advice), "{reported}");
    assert!(reported.contains(missing.to_str().unwrap()), "{reported}");
}

#[test]
fn a_log_with_too_long_a_name_is_reported_with_advice() {
    let reported = TestServer::builder().env("LOG_FILE", "a".repeat(300)).fails(1);
    assert!(reported.ends_with("; choose a shorter name\n"), "{reported}");
}

/// Fails unless the server refuses to start because `LOG_FILE` is of this kind.
#[track_caller]
fn assert_refused(builder: Builder, log: &str, kind: &str) {
    let reported = builder.env("LOG_FILE", log).fails(2);
    for part in ["LOG_FILE (--log-file) is", log, kind, "allowed is a regular file"] {
        assert!(reported.contains(part), "{part}: {reported}");
    }
}

#[test]
fn a_log_that_is_not_a_regular_file_is_refused_at_the_start() {
    let builder = TestServer::builder;
    let with_pipe = builder();
    let made = Command::new("mkfifo").arg(with_pipe.dir().join("pipe")).status().unwrap();
    assert!(made.success());
    assert_refused(with_pipe, "pipe", "a pipe");
    let with_socket = builder();
    let _listener = UnixListener::bind(with_socket.dir().join("socket")).unwrap();
    assert_refused(with_socket, "socket", "a socket");
    assert_refused(builder(), ".", "a folder");
    assert_refused(builder(), "missing/", "a folder");
    assert_refused(builder(), "/dev/null", "a device");
    for stream in ["/dev/stdout", "/dev/stderr", "/dev/fd/1", "/proc/self/fd/2"] {
        assert_refused(builder(), stream, "a stream of the process");
    }
}

#[test]
fn the_file_that_a_standard_stream_goes_to_is_refused_as_log() {
    let redirected = |redirection: &str| {
        TestServer::builder().under(["sh", "-c", &format!("exec \"$0\" {redirection}")])
    };
    assert_refused(redirected(">out"), "out", "the file that the standard output goes to");
    assert_refused(redirected(">out"), "/dev/stdout", "a stream of the process");
    // The reason is written to that file.
    let dir = tempfile::tempdir().unwrap();
    let events = dir.path().join("events");
    let builder = redirected(&format!("2>{}", events.display())).env("LOG_FILE", &events);
    assert_eq!(builder.run().status, Some(2));
    let reported = fs::read_to_string(events).unwrap();
    assert!(reported.contains("the file that the standard error output goes to"), "{reported}");
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
        wait_until("the file is made again", || server.log_path().exists());
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
fn a_log_that_was_deleted_is_created_again() {
    let server = TestServer::start();
    let mut client = server.connect();
    assert_eq!(client.ping("Client-100", "before"), "Pong!");
    fs::remove_file(server.log_path()).unwrap();
    wait_until("the file is made again", || {
        assert_eq!(client.ping("Client-100", "after"), "Pong!");
        server.log_path().exists()
    });
    assert!(server.event("WARN").contains("deleted"));
    assert_eq!(client.ping("Client-100", "later"), "Pong!");
    assert_eq!(server.log().pings().last(), Some(&("Client-100", "later")));
}

#[test]
fn a_log_that_was_moved_is_created_again_without_a_signal() {
    let server = TestServer::start();
    let mut client = server.connect();
    assert_eq!(client.ping("Client-100", "before"), "Pong!");
    let moved = server.dir().join("moved.txt");
    fs::rename(server.log_path(), &moved).unwrap();
    wait_until("the file is made again", || {
        assert_eq!(client.ping("Client-100", "after"), "Pong!");
        server.log_path().exists()
    });
    server.event("reopened");
    assert_eq!(client.ping("Client-100", "later"), "Pong!");
    assert_eq!(server.log().pings().last(), Some(&("Client-100", "later")));
    assert_eq!(Log::read(&moved).pings()[0], ("Client-100", "before"));
}

#[test]
fn after_another_program_replaced_the_log_lines_go_to_the_new_file() {
    let server = TestServer::start();
    let mut client = server.connect();
    assert_eq!(client.ping("Client-100", "before"), "Pong!");
    let edited = server.dir().join("edited.txt");
    fs::write(&edited, server.log_text()).unwrap();
    fs::rename(&edited, server.log_path()).unwrap();
    server.event("reopened");
    assert_eq!(client.ping("Client-100", "after"), "Pong!");
    assert_eq!(server.log().pings(), [("Client-100", "before"), ("Client-100", "after")]);
}

#[test]
fn a_log_that_was_truncated_within_a_line_continues_with_a_whole_line() {
    let server = TestServer::start();
    let mut client = server.connect();
    for message in ["one", "two"] {
        assert_eq!(client.ping("Client-100", message), "Pong!");
    }
    let len = fs::metadata(server.log_path()).unwrap().len();
    File::options().write(true).open(server.log_path()).unwrap().set_len(len - 10).unwrap();
    assert!(server.event("WARN").contains("bytes off the end"));
    assert_eq!(client.ping("Client-100", "three"), "Pong!");
    assert_eq!(server.log().pings(), [("Client-100", "one"), ("Client-100", "three")]);
}

#[test]
fn renames_with_sighup_and_no_ping_leak_no_descriptor() {
    for sync in ["everysec", "no"] {
        let server = TestServer::builder().env("LOG_SYNC", sync).start();
        server.assert_serves();
        server.signal(Signal::HUP);
        server.event("nothing to reopen");
        let before = server.descriptors();
        for number in 0..40 {
            let moved = server.dir().join(format!("moved.{number}"));
            fs::rename(server.log_path(), moved).unwrap();
            server.signal(Signal::HUP);
            wait_until("the file is made again", || server.log_path().exists());
        }
        wait_until("the descriptors are closed", || server.descriptors() <= before);
    }
}

#[test]
fn lines_are_appended_to_a_log_that_was_truncated() {
    let server = TestServer::start();
    let mut client = server.connect();
    assert_eq!(client.ping("Client-100", "before"), "Pong!");
    fs::write(server.log_path(), "").unwrap();
    assert_eq!(client.ping("Client-100", "after"), "Pong!");
    assert_eq!(server.log().pings(), [("Client-100", "after")]);
}

/// The path of a rotated file.
fn rotated(server: &TestServer, number: usize) -> PathBuf {
    server.dir().join(format!("server_logs.txt.{number}"))
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
    // The higher the number, the newer the file.
    let rotated = (1..files.len()).map(|number| Log::read(&rotated(&server, number)));
    let oldest_first: Vec<_> = rotated.chain([server.log()]).collect();
    oldest_first.iter().for_each(Log::assert_time_never_runs_backwards);
    for pair in oldest_first.windows(2) {
        assert!(pair[0].lines().last().unwrap().at <= pair[1].lines()[0].at);
    }
}

#[test]
fn a_link_to_the_log_leads_to_the_current_file_after_rotations_too() {
    let builder = TestServer::builder();
    fs::create_dir(builder.dir().join("big")).unwrap();
    symlink("big/pings.txt", builder.dir().join("server_logs.txt")).unwrap();
    let server = builder.env("LOG_MAX_BYTES", "1K").env("LOG_KEEP", "2").start();
    let mut client = server.connect();
    for number in 0..100 {
        assert_eq!(client.ping("Client-100", &number.to_string()), "Pong!");
    }
    assert!(server.log_path().is_symlink());
    let last = server.log().pings().last().map(|&(_, message)| message.to_owned());
    assert_eq!(last.as_deref(), Some("99"));
    wait_until("the oldest files are removed", || {
        fs::read_dir(server.dir().join("big")).unwrap().count() == 3
    });
    assert_eq!(fs::read_dir(server.dir()).unwrap().count(), 2);
    server.signal(Signal::HUP);
    server.event("nothing to reopen");
}

#[test]
fn a_second_server_at_a_link_to_the_log_writes_beside_the_file() {
    let builder = TestServer::builder();
    fs::create_dir(builder.dir().join("big")).unwrap();
    symlink("big/server_logs.txt", builder.dir().join("server_logs.txt")).unwrap();
    let first = builder.start();
    let second = first.again().start();
    for server in [&first, &second] {
        server.assert_serves();
    }
    assert_eq!(first.log().lines().len(), 1);
    assert_eq!(Log::read(&first.dir().join("big").join(beside())).lines().len(), 1);
}

#[test]
fn log_keep_bounds_the_number_of_rotated_files() {
    const SENT: usize = 200;
    for keep in [1, 3] {
        let server = TestServer::builder()
            .env("LOG_MAX_BYTES", "1K")
            .env("LOG_KEEP", keep.to_string())
            .env("WORKERS", "1")
            .start();
        let mut client = server.connect();
        for number in 0..SENT {
            assert_eq!(client.ping("Client-100", &number.to_string()), "Pong!");
            // Another thread removes old files, so a few more may be there for a while.
            assert!(Log::files(server.dir()).len() <= 1 + keep + 20);
        }
        let files = eventually("the oldest ones are removed", || {
            Some(numbers(&server)).filter(|numbers| numbers.len() == keep)
        });
        // The remaining lines are the latest ones, without a gap.
        let logs = files.iter().map(|&number| Log::read(&rotated(&server, number)));
        let left: Vec<_> = logs
            .chain([server.log()])
            .flat_map(|log| log.lines().to_vec())
            .map(|line| line.message)
            .collect();
        let expected: Vec<_> = (0..SENT).map(|number| number.to_string()).collect();
        assert!(expected.ends_with(&left), "{left:?}");
    }
}

/// The numbers of the rotated files, lowest first.
fn numbers(server: &TestServer) -> Vec<usize> {
    let number = |path: &PathBuf| path.extension()?.to_str()?.parse().ok();
    let mut numbers: Vec<_> = Log::files(server.dir()).iter().filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_rotation_leaves_other_files_alone_however_many_there_are() {
    const FILES: usize = 5000;
    let builder = TestServer::builder().env("LOG_MAX_BYTES", "1K");
    for number in 1..=FILES {
        let name = format!("server_logs.txt.{number}");
        fs::write(builder.dir().join(name), number.to_string()).unwrap();
    }
    let server = builder.start();
    let mut client = server.connect();
    for _ in 0..100 {
        assert_eq!(client.ping("Client-100", "Ping!"), "Pong!");
    }
    for number in 1..=FILES {
        let content = fs::read_to_string(rotated(&server, number)).unwrap();
        assert_eq!(content, number.to_string());
    }
    let lines = |path: PathBuf| Log::read(&path).lines().len();
    let new = numbers(&server).split_off(FILES);
    assert_eq!(new.first(), Some(&(FILES + 1)));
    let in_new: usize = new.iter().map(|&number| lines(rotated(&server, number))).sum();
    assert_eq!(in_new + lines(server.log_path()), 100);
}

#[test]
fn log_keep_counts_the_rotated_files_of_earlier_servers() {
    let builder = TestServer::builder().env("LOG_MAX_BYTES", "64").env("LOG_KEEP", "2");
    for name in ["server_logs.txt.7", "server_logs.txt.8", "server_logs.txt.9", "other.txt.1"] {
        fs::write(builder.dir().join(name), "").unwrap();
    }
    let server = builder.start();
    let mut client = server.connect();
    for _ in 0..2 {
        assert_eq!(client.ping("Client-100", "Ping!"), "Pong!");
    }
    wait_until("the oldest ones are removed", || numbers(&server) == [9, 10]);
    assert!(server.dir().join("other.txt.1").exists());
}

#[test]
fn rotations_hold_few_descriptors_and_delay_no_pong() {
    for (sync, keep) in [("everysec", "3"), ("always", "3"), ("no", "1000000")] {
        let mut server = TestServer::builder()
            .env("WORKERS", "1")
            .env("LOG_SYNC", sync)
            .env("LOG_MAX_BYTES", "20000")
            .env("LOG_KEEP", keep)
            .env("DRAIN_TIMEOUT", "3600")
            .start();
        let mut client = server.connect();
        let long = "x".repeat(65_000);
        let before = server.descriptors();
        for _ in 0..300 {
            assert_eq!(client.ping(&long, "Ping!"), "Pong!");
            let now = server.descriptors();
            assert!(now < before + 50, "{sync}: {before} descriptors, then {now}");
        }
        let (status, time) = server.stop();
        assert_eq!(status, Some(0), "{sync}");
        assert!(time < Duration::from_secs(40), "{sync}: {time:?}");
        assert_eq!(server.events("cannot be rotated"), [""; 0], "{sync}");
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
    assert_eq!(Log::read(&rotated(&server, 1)).pings(), [("Client-100", "one")]);
}

#[test]
fn a_rotation_that_failed_for_lack_of_a_descriptor_is_done_later() {
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
fn log_sync_always_serves_many_pings_at_once() {
    let server = TestServer::builder().env("LOG_SYNC", "always").start();
    let load = Load::start(server.address(), "Load", 8, 32);
    load.wait_for(2000);
    let tallies = load.finish();
    server.log().assert_holds_all_of(&tallies);
}

/// Tests that read the system calls of a server from the output of `strace`, one a line.
mod traced {
    use super::*;

    fn trace(sync: &str) -> (TestServer, String) {
        let builder = TestServer::builder().env("LOG_SYNC", sync).env("WORKERS", "1");
        let calls = "trace=fdatasync,fsync,write,writev,sendto,sendmsg";
        let strace = ["strace", "-D", "-f", "-y", "-q", "-s", "200", "-o", "trace", "-e", calls];
        let mut server = builder.under(strace).start();
        let mut client = server.raw();
        client.send(&ping_frame("Client-300", "Ping!"));
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

    /// The line of the first completed sync.
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
    fn log_sync_decides_when_the_disk_holds_the_line() {
        type FindLine = fn(&str) -> Option<usize>;
        let orders: [(&str, &[FindLine]); 3] = [
            ("always", &[recorded, synced, answered]),
            ("everysec", &[recorded, answered, synced]),
            ("no", &[recorded, answered]),
        ];
        for (sync, order) in orders {
            let (_server, trace) = trace(sync);
            let lines: Vec<_> = order.iter().map(|line| line(&trace)).collect();
            let is_ordered = lines.iter().all(Option::is_some) && lines.is_sorted();
            assert!(is_ordered, "{sync}: {lines:?}\n{trace}");
            assert_eq!(synced(&trace).is_some(), sync != "no", "{sync}: {trace}");
        }
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
        // The stop comes long before the sync that everysec does after a second.
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
            client.send(&ping_frame("Client-300", "Ping!"));
            let frames = client.frames_to_the_end();
            let pongs = frames.iter().filter(|frame| frame.payload == b"Pong!").count();
            assert_eq!(pongs, usize::from(sync == "everysec"), "{frames:?}");
            if sync == "always" {
                // The line is in the file, but whether it is on the disk is unknown.
                let reported = frames[0].text();
                assert!(reported.starts_with("Error: "), "{reported}");
                assert!(reported.ends_with("this ping may not be recorded"), "{reported}");
            }
            assert_eq!(frames.last().unwrap().close_code(), Some(1001), "{frames:?}");
            assert_eq!(server.wait().code(), Some(1));
            let reported = server.events("ERROR");
            assert_eq!(reported.len(), 1, "{reported:?}");
            assert!(reported[0].contains("Input/output error"), "{reported:?}");
        }
    }
}
