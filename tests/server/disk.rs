//! A log that cannot be written for a while: pings get an error, no line is torn, and the server goes
//! on without a restart.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Resource, Signal};

use crate::support::{
    Faults, Load, Log, TestClient, TestServer, TinyDisk, eventually, limit, ping_text, run,
    wait_until,
};

/// Time limit for `/healthz` to report a call that hangs: 5 s, with room for a busy machine.
const TOLD: Duration = Duration::from_secs(20);

/// Makes the log unwritable with `fill` and writable again with `free`, under load. Meanwhile clients
/// have to get the `cause`.
#[track_caller]
fn assert_full_and_back(
    server: &mut TestServer,
    log: &Path,
    cause: &str,
    fill: impl Fn(),
    free: impl Fn(),
) {
    assert_eq!(server.health().status, 200);
    let load = Load::start(server.address(), "Load", 4, 30);
    load.wait_for(500);

    fill();
    load.wait_for_refused(500);
    for _ in 0..3 {
        // A short line that fits in between makes the server healthy for a moment.
        let health = eventually("/healthz tells", || {
            Some(server.health()).filter(|health| health.status == 503)
        });
        assert!(health.body.contains(cause), "{health:?}");
    }
    let tallies = load.finish();
    for tally in &tallies {
        // A client may have had no ping refused: 500 refusals of the others ended the load.
        let is_reported = tally.error.as_ref().is_none_or(|error| error.contains(cause));
        assert!(is_reported, "{}: {:?}", tally.name, tally.error);
        assert_eq!(tally.close_code, None);
        assert_eq!(tally.acknowledged.len() + tally.refused.len(), tally.sent);
    }
    // All lines are complete, and every acknowledged ping has one.
    Log::read(log).assert_holds_all_of(&tallies);
    let mut client = server.connect();
    let reply = client.ping("Client-100", &"while it is full ".repeat(1000));
    assert!(reply.starts_with("Error: ") && reply.contains(cause), "{reply}");

    free();
    server.wait_for_health(200);
    assert_eq!(client.ping("Client-100", "back"), "Pong!");
    let load = Load::start(server.address(), "Later", 2, 10);
    load.wait_for(200);
    let later = load.finish();
    assert!(later.iter().all(|tally| tally.refused.is_empty()), "{later:?}");
    let lines = Log::read(log);
    lines.assert_holds_all_of(&tallies);
    lines.assert_holds_all_of(&later);

    assert_eq!(server.stop().0, Some(0));
    // While the disk fills, a short line may fit in between, so some pairs of events are normal; an
    // event for each ping that was refused would be more than 500.
    let reported = server.events("cannot be written");
    assert!((1..100).contains(&reported.len()), "{reported:#?}");
    assert!(reported[0].contains("WARN") && reported[0].contains(cause), "{reported:?}");
    assert_eq!(server.events("can be written again").len(), reported.len());
    server.assert_stdout_shows(log);
}

#[test]
fn a_file_size_limit_is_treated_as_a_full_disk() {
    let mut server = TestServer::builder().env("WORKERS", "2").start();
    let pid = server.pid();
    let path = server.log_path();
    let room = |bytes| limit(pid, Resource::Fsize, bytes);
    let fill = || room(Some(fs::metadata(&path).unwrap().len() + 100));
    assert_full_and_back(&mut server, &path, "File too large", fill, || room(None));
}

#[test]
fn a_log_whose_folder_is_gone_takes_no_ping_until_the_folder_is_back() {
    for sync in ["everysec", "always", "no"] {
        let builder = TestServer::builder().env("LOG_SYNC", sync).env("LOG_FILE", "logs/log.txt");
        let folder = builder.dir().join("logs");
        fs::create_dir(&folder).unwrap();
        let mut server = builder.start();
        let mut client = server.connect();
        assert_eq!(client.ping("Client-100", "before"), "Pong!");

        fs::remove_dir_all(&folder).unwrap();
        server.wait_for_health(503);
        assert!(server.health().body.contains("No such file"), "{:?}", server.health());
        for _ in 0..3 {
            let reply = client.ping("Client-100", "while it is gone");
            assert!(reply.starts_with("Error: ") && reply.contains("No such file"), "{reply}");
            assert!(reply.ends_with("this ping was not recorded"), "{reply}");
        }

        fs::create_dir(&folder).unwrap();
        server.wait_for_health(200);
        assert_eq!(client.ping("Client-100", "after"), "Pong!");
        assert_eq!(Log::read(&folder.join("log.txt")).pings(), [("Client-100", "after")]);
        server.event("can be written again");
        assert_eq!(server.events("cannot be written").len(), 1);
        assert_eq!(server.events("can be written again").len(), 1);
        assert_eq!(server.stop().0, Some(0));
    }
}

#[test]
fn the_working_folder_of_a_server_may_be_removed_and_created_again() {
    let server = TestServer::builder().start();
    let mut client = server.connect();
    assert_eq!(client.ping("Client-100", "before"), "Pong!");
    let moved = server.dir().with_extension("moved");
    fs::rename(server.dir(), &moved).unwrap();
    server.wait_for_health(503);
    assert!(client.ping("Client-100", "while it is gone").starts_with("Error: "));
    fs::rename(&moved, server.dir()).unwrap();
    server.wait_for_health(200);
    assert_eq!(client.ping("Client-100", "after"), "Pong!");
    assert_eq!(server.log().pings(), [("Client-100", "before"), ("Client-100", "after")]);
}

#[test]
fn a_pipe_in_place_of_the_log_takes_no_ping() {
    let server = TestServer::start();
    let mut client = server.connect();
    assert_eq!(client.ping("Client-100", "before"), "Pong!");
    let pipe = server.dir().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    fs::rename(&pipe, server.log_path()).unwrap();
    wait_until("/healthz changes", || {
        let health = server.health();
        health.status == 503 && health.body.contains("a pipe")
    });
    assert!(client.ping("Client-100", "into a pipe").starts_with("Error: "));
    fs::remove_file(server.log_path()).unwrap();
    server.wait_for_health(200);
    assert_eq!(client.ping("Client-100", "after"), "Pong!");
    assert_eq!(server.log().pings(), [("Client-100", "after")]);
}

#[test]
fn the_healthcheck_fails_with_the_reason_while_the_log_cannot_be_written() {
    let server = TestServer::start();
    server.limit(Resource::Fsize, Some(0));
    assert!(server.connect().ping("Client-100", "Ping!").starts_with("Error: "));
    let check = TestServer::healthcheck(&server.address().to_string());
    assert_eq!((check.status, check.stderr.lines().count()), (Some(1), 1), "{check:?}");
    assert!(check.stderr.contains("the log cannot be written"), "{check:?}");
}

#[test]
#[ignore = "needs root, to mount a tmpfs"]
fn a_full_disk_is_reported_and_work_continues_when_there_is_room() {
    let builder = TestServer::builder().env("WORKERS", "2");
    let disk = TinyDisk::mount("256k");
    let log = disk.log();
    let mut server = builder.env("LOG_FILE", &log).start();
    let cause = "No space left on device";
    assert_full_and_back(&mut server, &log, cause, || disk.fill(), || disk.free());
}

#[test]
#[ignore = "needs root, to mount a tmpfs"]
fn a_disk_that_fills_amid_rotations_tears_no_line() {
    let builder = TestServer::builder().env("WORKERS", "2").env("LOG_MAX_BYTES", "8K");
    let disk = TinyDisk::mount("256k");
    let server = builder.env("LOG_FILE", disk.log()).start();
    let load = Load::start(server.address(), "Load", 4, 30);
    load.wait_for_refused(500);
    server.wait_for_health(503);
    for number in 10..20 {
        fs::remove_file(disk.path().join(format!("server_logs.txt.{number}"))).unwrap();
    }
    load.wait_for(500);
    let tallies = load.finish();
    let log = Log::read_all(disk.path());
    let last = |name: &str| tallies.iter().find(|tally| tally.name == name).unwrap();
    // The lines in removed files are lost; all others are complete.
    assert!(
        log.lines()
            .iter()
            .all(|line| line.message.parse::<usize>().unwrap() < last(&line.name).sent)
    );
}

/// Fills the disk with lines until a ping is refused.
#[track_caller]
fn fill_with_lines(client: &mut TestClient) {
    let long = "x".repeat(8000);
    let is_refused = |client: &mut TestClient| client.ping(&long, "Ping!").starts_with("Error: ");
    assert!((0..1000).any(|_| is_refused(client)), "the disk is never full");
}

#[test]
#[ignore = "needs root, to mount a tmpfs"]
fn however_room_is_made_work_continues_and_no_descriptor_leaks() {
    type MakeRoom = fn(&TestServer, &Path);
    let ways: [(&str, MakeRoom); 5] = [
        ("remove", |_, log| fs::remove_file(log).unwrap()),
        ("truncate", |_, log| drop(File::create(log).unwrap())),
        ("rename and remove", |_, log| {
            fs::rename(log, log.with_extension("old")).unwrap();
            fs::remove_file(log.with_extension("old")).unwrap();
        }),
        ("rename, SIGHUP and remove", |server, log| {
            fs::rename(log, log.with_extension("old")).unwrap();
            server.signal(Signal::HUP);
            server.event("reopened");
            fs::remove_file(log.with_extension("old")).unwrap();
        }),
        ("many renames, each with a SIGHUP, and remove", |server, log| {
            for number in 0..20 {
                fs::rename(log, log.with_extension(number.to_string())).unwrap();
                server.signal(Signal::HUP);
                wait_until("the file is made again", || log.exists());
            }
            (0..20).for_each(|n| fs::remove_file(log.with_extension(n.to_string())).unwrap());
        }),
    ];
    for sync in ["everysec", "always", "no"] {
        for (way, make_room) in ways {
            let disk = TinyDisk::mount("2m");
            let mut server = TestServer::builder()
                .env("WORKERS", "1")
                .env("LOG_SYNC", sync)
                .env("LOG_FILE", disk.log())
                .start();
            let mut client = server.connect();
            assert_eq!(client.ping("Client-100", "first"), "Pong!");
            let before = server.descriptors();
            fill_with_lines(&mut client);
            server.wait_for_health(503);

            make_room(&server, &disk.log());
            wait_until(&format!("{sync}, {way}: it is healthy again"), || {
                server.health().status == 200
            });
            assert_eq!(client.ping("Client-100", "last"), "Pong!", "{sync}, {way}");
            let log = Log::read(&disk.log());
            assert_eq!(log.pings().last(), Some(&("Client-100", "last")), "{sync}, {way}");
            wait_until(&format!("{sync}, {way}: descriptors are closed"), || {
                server.descriptors() <= before
            });
            assert_eq!(server.stop().0, Some(0), "{sync}, {way}");
        }
    }
}

#[test]
#[ignore = "needs root, to mount a tmpfs"]
fn a_ping_is_in_the_log_if_and_only_if_it_is_acknowledged_where_a_rotation_meets_a_full_disk() {
    for sync in ["everysec", "always", "no"] {
        let disk = TinyDisk::mount("512k");
        let server = TestServer::builder()
            .env("WORKERS", "1")
            .env("LOG_SYNC", sync)
            .env("LOG_MAX_BYTES", "1K")
            .env("LOG_FILE", disk.log())
            .start();
        // Batches of many clients with a ping each, split by rotations.
        let load = Load::start(server.address(), "Load", 60, 1);
        load.wait_for_refused(200);
        let tallies = load.finish();
        let log = Log::read_all(disk.path());
        log.assert_holds_all_of(&tallies);
        let acknowledged: usize = tallies.iter().map(|tally| tally.acknowledged.len()).sum();
        assert_eq!(log.lines().len(), acknowledged, "{sync}");
    }
}

#[test]
#[ignore = "needs root, to mount a tmpfs"]
fn a_file_system_that_is_mounted_over_the_folder_gets_the_log() {
    let builder = TestServer::builder().env("LOG_FILE", "logs/log.txt");
    let folder = builder.dir().join("logs");
    fs::create_dir(&folder).unwrap();
    let server = builder.start();
    let mut client = server.connect();
    let goes_on = |client: &mut TestClient, message| {
        wait_until("the log is begun anew", || {
            assert_eq!(client.ping("Client-100", message), "Pong!");
            let text = fs::read_to_string(folder.join("log.txt")).unwrap_or_default();
            text.contains(message)
        });
    };
    goes_on(&mut client, "below");
    run(Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&folder));
    goes_on(&mut client, "above");
    run(Command::new("umount").arg("--lazy").arg(&folder));
    goes_on(&mut client, "below again");
}

#[test]
#[ignore = "needs root, to freeze a file system"]
fn a_frozen_file_system_is_reported_and_stops_nothing_but_pings() {
    let builder = TestServer::builder().env("WORKERS", "1");
    let disk = TinyDisk::mount_ext4(&builder.dir().join("image"));
    let mut server = builder.env("LOG_FILE", disk.log()).start();
    let mut client = server.connect();
    assert_eq!(client.ping("Client-100", "before"), "Pong!");
    let frozen = disk.freeze();
    client.send(&ping_text("Client-100", "while it is frozen"));
    let begun = Instant::now();
    server.wait_for_health(503);
    assert!(begun.elapsed() < TOLD, "{:?}", begun.elapsed());
    assert!(server.health().body.contains("has not returned"), "{:?}", server.health());
    drop(frozen);
    assert_eq!(client.reply(), "Pong!");
    server.wait_for_health(200);
    assert_eq!(Log::read(&disk.log()).lines().len(), 2);

    // A process in a system call on a frozen file system cannot end, not even by SIGKILL. So the
    // server can only be seen to end after the thaw.
    let frozen = disk.freeze();
    client.send(&ping_text("Client-100", "while it is frozen"));
    wait_until("the call is under way", || server.waits_in_the_kernel());
    server.signal(Signal::TERM);
    server.event("stopped");
    drop(frozen);
    assert_eq!(server.wait().code(), Some(1));
}

#[test]
fn a_system_call_that_hangs_is_reported_within_5_seconds_and_does_not_delay_the_stop() {
    for (call, sync, reported) in [
        ("write", "everysec", "the log cannot be written"),
        ("fdatasync", "everysec", "the log cannot be brought to the disk"),
        ("fdatasync", "always", "the log cannot be brought to the disk"),
    ] {
        let builder = TestServer::builder().env("LOG_SYNC", sync).env("DRAIN_TIMEOUT", "2");
        let (faults, builder) = Faults::inject(builder.env("WORKERS", "1"));
        let mut server = builder.start();
        let mut client = server.connect();
        assert_eq!(client.ping("Client-100", "before"), "Pong!");
        faults.hang(call);
        client.send(&ping_text("Client-100", "into a call that hangs"));
        let begun = Instant::now();
        let health = eventually("/healthz changes", || {
            Some(server.health()).filter(|health| health.status == 503)
        });
        assert!(health.body.contains(reported), "{call}: {health:?}");
        // A sync begins up to a second after the ping.
        assert!(begun.elapsed() < TOLD, "{call}: {:?}", begun.elapsed());
        let warning = server.event("/healthz answers 503 until it does");
        assert!(warning.contains("WARN") && warning.contains(reported), "{call}: {warning}");

        faults.end();
        assert_eq!(client.reply(), "Pong!");
        server.event("INFO the system has returned from the call on the log");
        server.wait_for_health(200);

        faults.hang(call);
        client.send(&ping_text("Client-100", "into a call that hangs for ever"));
        server.signal(Signal::HUP);
        let (status, time) = server.stop();
        assert_eq!(status, Some(1), "{call}");
        assert!(time < Duration::from_secs(20), "{call}: {time:?}");
    }
}

#[test]
fn a_write_that_hangs_blocks_other_workers_only_for_a_while() {
    let (faults, builder) = Faults::inject(TestServer::builder().env("WORKERS", "3"));
    let server = builder.start();
    let mut stuck = server.connect();
    assert_eq!(stuck.ping("Client-100", "before"), "Pong!");
    let mut other = server.connect();
    let mut echo = server.connect_to("/echo");
    faults.hang("write");
    stuck.send(&ping_text("Client-100", "into a call that hangs"));
    server.wait_for_health(503);
    for _ in 0..3 {
        assert_eq!(echo.ask("beside a call that hangs"), "[RE]: beside a call that hangs");
        let reply = other.ping("Client-200", "beside a call that hangs");
        assert!(reply.starts_with("Error: ") && reply.contains("has not returned"), "{reply}");
    }
    faults.end();
    assert_eq!(stuck.reply(), "Pong!");
    assert_eq!(other.ping("Client-200", "after"), "Pong!");
    let expected = ["before", "into a call that hangs", "after"];
    assert_eq!(server.log().pings().iter().map(|ping| ping.1).collect::<Vec<_>>(), expected);
}

#[test]
fn a_write_that_fails_affects_the_pings_of_that_write_only() {
    let (faults, builder) = Faults::inject(TestServer::builder().env("WORKERS", "1"));
    let server = builder.start();
    let mut client = server.connect();
    for number in 1..=5 {
        if number == 3 {
            faults.fail("write", Errno::NOSPC);
            let reply = client.ping("Client-100", "3");
            assert!(reply.starts_with("Error: ") && reply.contains("No space left"), "{reply}");
            faults.end();
        } else {
            assert_eq!(client.ping("Client-100", &number.to_string()), "Pong!");
        }
    }
    assert_eq!(server.health().status, 200);
    let messages: Vec<_> = server.log().lines().iter().map(|line| line.message.clone()).collect();
    assert_eq!(messages, ["1", "2", "4", "5"]);
    wait_until("stdout shows the same", || server.stdout() == server.log_text().into_bytes());
}

#[test]
fn a_write_that_takes_a_few_bytes_at_a_time_is_whole_in_the_end() {
    let (faults, builder) = Faults::inject(TestServer::builder());
    let server = builder.start();
    faults.shorten_writes(7);
    server.assert_serves();
    assert_eq!(server.log().pings(), [("Witness", "Ping!")]);
}

#[test]
fn a_short_write_that_cannot_be_cut_back_at_once_is_cut_back_before_the_next_line() {
    let (faults, builder) = Faults::inject(TestServer::builder().env("WORKERS", "1"));
    let server = builder.start();
    let mut client = server.connect();
    assert_eq!(client.ping("Client-100", "before"), "Pong!");
    faults.fail("ftruncate", Errno::IO);
    server.limit(Resource::Fsize, Some(fs::metadata(server.log_path()).unwrap().len() + 10));
    assert!(client.ping("Client-100", "refused").starts_with("Error: "));
    assert!(!server.log_text().ends_with('\n'), "nothing is torn, so this proves nothing");
    server.limit(Resource::Fsize, None);
    assert!(client.ping("Client-100", "refused too").starts_with("Error: "));
    faults.end();
    assert_eq!(client.ping("Client-100", "after"), "Pong!");
    assert_eq!(server.log().pings(), [("Client-100", "before"), ("Client-100", "after")]);
}
