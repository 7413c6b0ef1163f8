//! A log that cannot be written for a while: no Pong, no torn line, no restart.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Resource;
use tempfile::TempDir;

use crate::support::{Load, Log, TestServer, eventually, limit};

/// Makes the log unwritable and writable again under load; `cause` is what clients are told.
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
        let health = server.health();
        assert_eq!(health.status, 503, "{health:?}");
        assert!(health.body.contains(cause), "{health:?}");
    }
    let tallies = load.finish();
    for tally in &tallies {
        // On a busy machine the others may have been refused often enough already.
        let is_told = tally.error.as_ref().is_none_or(|error| error.contains(cause));
        assert!(is_told, "{}: {:?}", tally.name, tally.error);
        assert_eq!(tally.close_code, None);
        assert_eq!(tally.acknowledged.len() + tally.refused.len(), tally.sent);
    }
    // Whole lines only, and those of every Pong.
    Log::read(log).assert_holds_all_of(&tallies);
    let mut client = server.connect();
    let reply = client.ping("Client-100", &"while it is full ".repeat(1000));
    assert!(reply.starts_with("Error: ") && reply.contains(cause), "{reply}");

    free();
    eventually("it is healthy again without any ping", || {
        (server.health().status == 200).then_some(())
    });
    assert_eq!(client.ping("Client-100", "back"), "Pong!");
    let load = Load::start(server.address(), "Later", 2, 10);
    load.wait_for(200);
    let later = load.finish();
    assert!(later.iter().all(|tally| tally.refused.is_empty()), "{later:?}");
    let lines = Log::read(log);
    lines.assert_holds_all_of(&tallies);
    lines.assert_holds_all_of(&later);

    // On the way there is room for a short line now and then, but not often.
    let told = server.events("cannot be written");
    assert!((1..10).contains(&told.len()), "{told:#?}");
    assert!(told[0].contains("WARN") && told[0].contains(cause), "{told:?}");
    assert_eq!(server.events("can be written again").len(), told.len());
    assert_eq!(server.stop().0, Some(0));
    assert!(server.stdout() == fs::read(log).unwrap(), "stdout differs from the log");
}

#[test]
fn a_file_size_limit_is_a_full_disk_and_not_the_end() {
    let mut server = TestServer::builder().env("WORKERS", "2").start();
    let pid = server.pid();
    let path = server.log_path();
    let room = |bytes| limit(pid, Resource::Fsize, bytes);
    let fill = || room(Some(fs::metadata(&path).unwrap().len() + 100));
    assert_full_and_back(&mut server, &path, "File too large", fill, || room(None));
}

#[test]
fn a_device_that_is_always_full_gets_every_ping_an_error() {
    let server = TestServer::builder().env("LOG_FILE", "/dev/full").start();
    let mut client = server.connect();
    for _ in 0..3 {
        let reply = client.ping("Client-100", "Ping!");
        assert!(reply.starts_with("Error: "), "{reply}");
        assert!(reply.contains("No space left on device"), "{reply}");
        let health = server.health();
        assert_eq!(health.status, 503, "{health:?}");
    }
    assert_eq!(server.stdout(), b"");
}

#[test]
fn the_healthcheck_fails_with_the_reason_while_the_log_cannot_be_written() {
    let server = TestServer::start();
    server.limit(Resource::Fsize, Some(0));
    assert!(server.connect().ping("Client-100", "Ping!").starts_with("Error: "));
    let check = server.again().env("LISTEN", server.address().to_string()).arg("healthcheck").run();
    assert_eq!(check.status, Some(1), "{check:?}");
    assert_eq!(check.stderr.lines().count(), 1, "{check:?}");
    assert!(check.stderr.contains("the log cannot be written"), "{check:?}");
}

/// A file system of a few kilobytes. It is unmounted when dropped.
struct TinyDisk(TempDir);

impl TinyDisk {
    fn mount() -> Self {
        let at = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
            .arg(at.path())
            .status()
            .unwrap();
        assert!(mounted.success());
        Self(at)
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("server_logs.txt")
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        while filler.write(&[0; 4096]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[test]
#[ignore = "needs root, to mount a tmpfs"]
fn a_full_disk_is_told_and_work_goes_on_when_there_is_room() {
    let builder = TestServer::builder().env("WORKERS", "2");
    let disk = TinyDisk::mount();
    let log = disk.log();
    let mut server = builder.env("LOG_FILE", &log).start();
    let cause = "No space left on device";
    assert_full_and_back(&mut server, &log, cause, || disk.fill(), || disk.free());
}

#[test]
#[ignore = "needs root, to mount a tmpfs"]
fn a_disk_that_fills_amid_rotations_tears_no_line() {
    let builder = TestServer::builder().env("WORKERS", "2").env("LOG_MAX_BYTES", "8K");
    let disk = TinyDisk::mount();
    let server = builder.env("LOG_FILE", disk.log()).start();
    let load = Load::start(server.address(), "Load", 4, 30);
    load.wait_for_refused(500);
    assert_eq!(server.health().status, 503);
    for number in 10..20 {
        fs::remove_file(disk.0.path().join(format!("server_logs.txt.{number}"))).unwrap();
    }
    load.wait_for(500);
    let tallies = load.finish();
    let log = Log::read_all(disk.0.path());
    let last = |name: &str| tallies.iter().find(|tally| tally.name == name).unwrap();
    // Those in the files that were removed are gone; the others are whole.
    assert!(
        log.lines()
            .iter()
            .all(|line| line.message.parse::<usize>().unwrap() < last(&line.name).sent)
    );
}

/// A server whose system calls on its log fail as told.
fn faulty(faults: &[&str]) -> TestServer {
    let builder = TestServer::builder().env("WORKERS", "1").env("LOG_SYNC", "no");
    let log = builder.dir().join("server_logs.txt");
    fs::write(&log, "").unwrap();
    let strace = ["strace", "-D", "-f", "-qq", "-o", "trace", "-P", path(&log)];
    let faults = faults.iter().flat_map(|fault| ["-e", fault]);
    builder.under(strace).under(["-e", "trace=write,ftruncate"]).under(faults).start()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
#[ignore = "needs strace"]
fn one_write_that_fails_costs_the_pings_of_that_write_alone() {
    let server = faulty(&["inject=write:error=ENOSPC:when=3"]);
    let mut client = server.connect();
    for number in 1..=5 {
        let reply = client.ping("Client-100", &number.to_string());
        if number == 3 {
            assert!(reply.starts_with("Error: ") && reply.contains("No space left"), "{reply}");
        } else {
            assert_eq!(reply, "Pong!");
        }
    }
    assert_eq!(server.health().status, 200);
    let messages: Vec<_> = server.log().lines().iter().map(|line| line.message.clone()).collect();
    assert_eq!(messages, ["1", "2", "4", "5"]);
    eventually("stdout shows the same", || {
        (server.stdout() == server.log_text().into_bytes()).then_some(())
    });
}

#[test]
#[ignore = "needs strace"]
fn a_short_write_that_cannot_be_cut_back_at_once_is_cut_back_before_the_next_line() {
    let server = faulty(&["inject=ftruncate:error=EIO:when=1"]);
    let mut client = server.connect();
    assert_eq!(client.ping("Client-100", "before"), "Pong!");
    server.limit(Resource::Fsize, Some(fs::metadata(server.log_path()).unwrap().len() + 10));
    assert!(client.ping("Client-100", "refused").starts_with("Error: "));
    assert!(!server.log_text().ends_with('\n'), "nothing is torn, so this proves nothing");
    server.limit(Resource::Fsize, None);
    assert_eq!(client.ping("Client-100", "after"), "Pong!");
    assert_eq!(server.log().pings(), [("Client-100", "before"), ("Client-100", "after")]);
}
