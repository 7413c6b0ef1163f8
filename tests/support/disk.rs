//! File systems that a test may fill and freeze. Mounting them needs root.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A small file system, which is unmounted when dropped.
#[derive(Debug)]
pub(crate) struct TinyDisk(TempDir);

impl TinyDisk {
    /// A file system in memory.
    pub(crate) fn mount(size: &str) -> Self {
        let at = tempfile::tempdir().unwrap();
        let size = format!("size={size}");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at.path()));
        Self(at)
    }

    /// A file system in the file `image`. It can be frozen.
    pub(crate) fn mount_ext4(image: &Path) -> Self {
        let at = tempfile::tempdir().unwrap();
        File::create(image).unwrap().set_len(16 << 20).unwrap();
        run(Command::new("mkfs.ext4").arg("-q").arg(image));
        run(Command::new("mount").args(["-o", "loop"]).arg(image).arg(at.path()));
        Self(at)
    }

    /// Has every write hang until the result is dropped. Meanwhile not even SIGKILL ends a server
    /// that writes.
    pub(crate) fn freeze(&self) -> Frozen<'_> {
        run(Command::new("fsfreeze").arg("--freeze").arg(self.0.path()));
        Frozen(self)
    }

    /// The mount point.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.0.path().join("server_logs.txt")
    }

    /// Fills the file system to the last byte.
    pub(crate) fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        while filler.write(&[0; 4096]).is_ok() {}
    }

    pub(crate) fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }
}

pub(crate) fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}

/// A file system that is frozen.
#[derive(Debug)]
pub(crate) struct Frozen<'a>(&'a TinyDisk);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _ = Command::new("fsfreeze").arg("--unfreeze").arg(self.0.0.path()).status();
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}
