//! Injects failures and hangs into the system calls on the log, without root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rustix::io::Errno;
use tempfile::TempDir;

use super::Builder;

/// Controls the system calls of a server on its log: `write`, `ftruncate` and `fdatasync`.
#[derive(Debug)]
pub(crate) struct Faults(TempDir);

impl Faults {
    /// Faults for the server that `builder` starts.
    pub(crate) fn inject(builder: Builder) -> (Self, Builder) {
        let faults = Self(tempfile::tempdir().expect("a temporary folder"));
        let builder = builder.env("LD_PRELOAD", library()).env("FAULTS", faults.0.path());
        (faults, builder)
    }

    /// Makes a call hang until [`Self::end`].
    pub(crate) fn hang(&self, call: &str) {
        self.set("hang", call, "");
    }

    /// Makes a call fail until [`Self::end`].
    pub(crate) fn fail(&self, call: &str, error: Errno) {
        self.set("fail", call, &error.raw_os_error().to_string());
    }

    /// Makes each `write` write at most this many bytes until [`Self::end`].
    pub(crate) fn shorten_writes(&self, bytes: usize) {
        self.set("short", "write", &bytes.to_string());
    }

    /// Lets all calls work again.
    pub(crate) fn end(&self) {
        for entry in fs::read_dir(self.0.path()).expect("a folder") {
            fs::remove_file(entry.expect("a file").path()).expect("it can be removed");
        }
    }

    fn set(&self, kind: &str, call: &str, number: &str) {
        // Renamed, so that the server never reads a half-written file.
        let written = self.0.path().join("new");
        fs::write(&written, number).expect("it can be written");
        fs::rename(written, self.0.path().join(format!("{kind}-{call}"))).expect("a rename");
    }
}

/// The library that a server is started with, compiled once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/support/faults.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let library = folder.join(format!("faults-{}.so", std::process::id()));
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&library)
            .args([source, "-ldl"])
            .status()
            .expect("a C compiler, which Rust links with too");
        assert!(compiled.success());
        // Tests in other processes may compile at the same time; a rename is atomic.
        let shared = folder.join("faults.so");
        fs::rename(library, &shared).expect("a rename");
        shared
    })
}
