//! The server under systemd: notifications to the service manager, and the unit in `deploy`.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

use crate::support::{PATIENCE, TestServer};

const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/websockets-server.service");

/// Highest exposure level for `systemd-analyze security`, in tenths: 0 is confined completely, 100
/// not at all.
const MOST_EXPOSED: &str = "15";

#[test]
fn the_service_manager_is_notified_when_the_server_is_ready_and_when_it_stops() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let notification = || {
        let mut message = [0; 256];
        let length = manager.recv(&mut message).expect("a notification");
        String::from_utf8_lossy(&message[..length]).trim().to_owned()
    };
    let mut server = TestServer::builder().env("NOTIFY_SOCKET", &path).start();
    assert_eq!(notification(), "READY=1");
    server.assert_serves();
    server.stop();
    assert_eq!(notification(), "STOPPING=1");
}

#[test]
fn the_server_works_without_its_service_manager() {
    let server = TestServer::builder().env("NOTIFY_SOCKET", "/nowhere/notify").start();
    server.event("the service manager at NOTIFY_SOCKET cannot be told");
    server.assert_serves();
}

#[test]
#[ignore = "needs systemd-analyze"]
fn the_unit_is_valid_and_well_confined() {
    let dir = tempfile::tempdir().unwrap();
    let unit = fs::read_to_string(UNIT).unwrap();
    let unit = unit.replace("/usr/local/bin/server", env!("CARGO_BIN_EXE_server"));
    let path = dir.path().join("websockets-server.service");
    fs::write(&path, unit).unwrap();
    assert_eq!(analyze(&["verify"], &path), "");
    analyze(&["security", "--offline=true", "--threshold", MOST_EXPOSED], &path);
}

/// The complaints of `systemd-analyze`.
#[track_caller]
fn analyze(args: &[&str], unit: &Path) -> String {
    let output = Command::new("systemd-analyze").args(args).arg(unit).output();
    let output = output.expect("systemd-analyze is there; .ci/setup installs it");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}
