//! The rotation of a file that is full.

use std::fs;
use std::io;

use super::{Fault, Log};
use crate::journal::file::LogFile;
use crate::journal::rotated::rename_to_free;
use crate::throttle::warn_throttled;

/// Rotated files beyond those to keep at which a rotation removes one itself, because the keeper has
/// fallen behind.
const MAX_EXCESS: usize = 16;

impl Log {
    /// Renames the file and begins a new one. If this fails, the file grows on, and the next try
    /// comes when it has grown by `LOG_MAX_BYTES` again.
    pub(super) fn rotate(&mut self) -> Result<(), Fault> {
        let room = self.room();
        // An empty file is not rotated: a line longer than `LOG_MAX_BYTES` has a file of its own.
        if self.verify()? || self.room() > room || self.len() == 0 {
            return Ok(());
        }
        match self.move_and_begin_anew() {
            Ok(old) => old.map_or(Ok(()), |old| self.retire(&old)),
            Err(error) => {
                let path = self.path().display();
                warn_throttled!(
                    self.rotation_failures,
                    "the log file {path} grows on, as it cannot be rotated: {error}"
                );
                self.full_at = self.len().saturating_add(self.rotation.map_or(0, |r| r.max_bytes));
                Ok(())
            }
        }
    }

    /// Returns the previous file.
    fn move_and_begin_anew(&mut self) -> io::Result<Option<LogFile>> {
        let (Some(rotated), Some(current)) = (&mut self.rotated, &self.current) else {
            return Ok(None);
        };
        let moved = rotated.rotate()?;
        match LogFile::open(&self.target, current.path()) {
            Ok(file) => {
                rotated.add();
                if rotated.excess() > MAX_EXCESS {
                    rotated.take_oldest().map(fs::remove_file);
                }
                Ok(self.replace_current(file))
            }
            Err(error) => {
                // Fails if another server took the name: then the next check opens a file beside it.
                let _ = rename_to_free(&moved, current.path());
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    use crate::journal::rotated::Rotation;
    use crate::journal::unsynced::UnsyncedFiles;

    const ALL: Option<u32> = None;

    fn log(dir: &tempfile::TempDir, rotation: Option<Rotation>) -> Log {
        Log::open(&dir.path().join("log"), rotation, UnsyncedFiles::new(true)).unwrap()
    }

    fn append(log: &mut Log, lines: &str) {
        log.append(lines.as_bytes()).1.unwrap();
    }

    fn files(dir: &tempfile::TempDir) -> Vec<(String, String)> {
        let entries = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries
            .map(|p| (p.file_name().unwrap().to_str().unwrap().into(), fs::read_to_string(p)))
            .map(|(name, text)| (name, text.unwrap()))
            .collect();
        files.sort();
        files
    }

    #[track_caller]
    fn assert_rotated(max_bytes: u64, batches: &[&str], expected: &[(&str, &str)]) {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(&dir, Some(Rotation { max_bytes, keep: ALL }));
        batches.iter().for_each(|batch| append(&mut log, batch));
        let expected = expected.iter().map(|&(name, text)| (name.into(), text.into()));
        assert_eq!(files(&dir), expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_full_file_is_rotated_between_lines_to_a_number_that_grows() {
        assert_rotated(
            8,
            &["aaa\nbbb\n", "ccc\n", "ddd\neee\nfff\n"],
            &[("log", "eee\nfff\n"), ("log.1", "aaa\nbbb\n"), ("log.2", "ccc\nddd\n")],
        );
    }

    #[test]
    fn a_line_longer_than_a_file_has_a_file_of_its_own() {
        assert_rotated(
            4,
            &["a\n", "long line\n", "b\n"],
            &[("log", "b\n"), ("log.1", "a\n"), ("log.2", "long line\n")],
        );
    }

    #[test]
    fn a_log_that_was_truncated_is_rotated_when_it_is_full_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(&dir, Some(Rotation { max_bytes: 8, keep: ALL }));
        append(&mut log, "aaa\nbbb\n");
        File::create(dir.path().join("log")).unwrap();
        append(&mut log, "ccc\n");
        append(&mut log, "ddd\n");
        assert_eq!(files(&dir), [("log".into(), "ccc\nddd\n".into())]);
    }

    #[test]
    fn a_rotation_removes_the_oldest_file_if_the_keeper_has_fallen_behind() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(&dir, Some(Rotation { max_bytes: 2, keep: Some(2) }));
        (0..MAX_EXCESS + 10).for_each(|_| append(&mut log, "1\n"));
        assert_eq!(files(&dir).len(), 1 + 2 + MAX_EXCESS);
        assert_eq!(log.take_excess(), Some(dir.path().join("log.8")));
    }
}
