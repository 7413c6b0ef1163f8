//! The rotated files of a log: their names, and how many are kept.
//!
//! A full `LOG_FILE` is renamed to `LOG_FILE.N`, where N is one more than the highest number there is.
//! So a rotation is one rename, however many files there are; the higher the number, the newer the
//! file.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// Most digits in the number of a rotated file. A file with a longer number is not one.
const MAX_DIGITS: usize = 15;

/// When a file is full, and how many rotated files are kept.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// Most bytes in a file (`LOG_MAX_BYTES`). A longer line has a file of its own.
    pub max_bytes: u64,
    /// How many rotated files are kept (`LOG_KEEP`); all of them if `None`.
    pub keep: Option<u32>,
}

/// The rotated files of a log.
#[derive(Debug)]
pub(super) struct RotatedFiles {
    log: PathBuf,
    keep: Option<u32>,
    /// Number of the next file.
    next: u64,
    /// Numbers of the files, oldest first; empty if all are kept.
    numbers: VecDeque<u64>,
}

impl RotatedFiles {
    /// Looks for the rotated files of `log`.
    pub(super) fn find(log: &Path, keep: Option<u32>) -> Self {
        let mut numbers = numbers(log);
        numbers.sort_unstable();
        let next = numbers.last().map_or(1, |last| last + 1);
        let numbers = if keep.is_some() { numbers.into() } else { VecDeque::new() };
        Self { log: log.to_path_buf(), keep, next, numbers }
    }

    /// Whether these are the files of `log`.
    pub(super) fn is_of(&self, log: &Path) -> bool {
        self.log == log
    }

    /// Renames the log to the next name, and returns the new path.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub(super) fn rotate(&mut self) -> io::Result<PathBuf> {
        let mut path = self.path(self.next);
        let mut renamed = rename_to_free(&self.log, &path);
        if renamed.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
            // Another program has created files with these names.
            *self = Self::find(&self.log, self.keep);
            path = self.path(self.next);
            renamed = rename_to_free(&self.log, &path);
        }
        renamed.map(|()| path)
    }

    /// Counts the file that the last [`Self::rotate`] made.
    pub(super) fn add(&mut self) {
        if self.keep.is_some() {
            self.numbers.push_back(self.next);
        }
        self.next += 1;
    }

    /// The number of files beyond those to keep.
    pub(super) fn excess(&self) -> usize {
        self.keep.map_or(0, |keep| self.numbers.len().saturating_sub(keep as usize))
    }

    /// Takes the oldest file off the list if there are more than are kept.
    pub(super) fn take_oldest(&mut self) -> Option<PathBuf> {
        if self.excess() == 0 {
            return None;
        }
        self.numbers.pop_front().map(|number| self.path(number))
    }

    fn path(&self, number: u64) -> PathBuf {
        let mut name = self.log.as_os_str().to_owned();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// The numbers of the rotated files of `log`, in any order.
fn numbers(log: &Path) -> Vec<u64> {
    let (Some(folder), Some(name)) = (log.parent(), log.file_name()) else { return Vec::new() };
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let number = |entry: fs::DirEntry| {
        let entry = entry.file_name();
        let rest = entry.as_encoded_bytes().strip_prefix(name.as_encoded_bytes())?;
        let digits = str::from_utf8(rest.strip_prefix(b".")?).ok()?;
        let is_own = digits.len() <= MAX_DIGITS
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| is_own)
    };
    entries.filter_map(Result::ok).filter_map(number).collect()
}

/// Renames a file to a name that is free.
///
/// # Errors
/// When it cannot be renamed; `AlreadyExists` if the name is taken.
pub(super) fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // The file system does not know RENAME_NOREPLACE.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            if fs::symlink_metadata(to).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(from, to)
        }
        result => Ok(result?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotated(keep: Option<u32>, files: &[&str]) -> (tempfile::TempDir, RotatedFiles) {
        let dir = tempfile::tempdir().unwrap();
        for name in files {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let found = RotatedFiles::find(&dir.path().join("log"), keep);
        (dir, found)
    }

    #[test]
    fn the_next_number_is_one_above_the_highest_there_is() {
        let others = ["log", "log.2", "log.10", "log.011", "log.12.gz", "log.x", "blog.99"];
        assert_eq!(rotated(None, &others).1.next, 11);
        assert_eq!(rotated(None, &["log", "log.1234567890123456"]).1.next, 1);
        assert_eq!(rotated(None, &[]).1.next, 1);
    }

    #[test]
    fn a_name_that_another_program_took_is_passed_over() {
        let (dir, mut files) = rotated(Some(9), &["log"]);
        fs::write(dir.path().join("log.1"), "other").unwrap();
        assert_eq!(files.rotate().unwrap(), dir.path().join("log.2"));
        assert_eq!(fs::read(dir.path().join("log.1")).unwrap(), b"other");
    }

    #[test]
    fn the_files_beyond_those_to_keep_are_taken_oldest_first() {
        let (dir, mut files) = rotated(Some(2), &["log", "log.3", "log.1", "log.7", "log.12"]);
        assert_eq!(files.excess(), 2);
        assert_eq!(files.take_oldest(), Some(dir.path().join("log.1")));
        assert_eq!(files.take_oldest(), Some(dir.path().join("log.3")));
        assert_eq!(files.take_oldest(), None);
        assert_eq!(rotated(None, &["log.1", "log.2"]).1.take_oldest(), None);
    }
}
