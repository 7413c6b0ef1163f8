//! The files of the log: lines go to the file that a reader finds at `LOG_FILE`, whatever other
//! programs do to it. A full file is rotated, if `LOG_MAX_BYTES` is set.

mod append;
mod rotate;

use std::io;
use std::path::{Path, PathBuf};

use tracing::{info, warn};

use super::check_path;
use super::file::LogFile;
use super::rotated::{RotatedFiles, Rotation};
use super::unsynced::UnsyncedFiles;
use crate::throttle::{Throttle, warn_throttled};

/// Why lines cannot be appended.
#[derive(Debug)]
pub(super) enum Fault {
    /// A write failed; a later write may succeed.
    Write(io::Error),
    /// A sync failed: what the disk holds is unknown from now on.
    Sync(io::Error),
}

/// The file at `LOG_FILE`, and the files that were there before.
#[derive(Debug)]
pub(super) struct Log {
    /// `LOG_FILE` as an absolute path: the working folder may be removed and made again.
    log_file: PathBuf,
    /// The path that `log_file` led to when the latest file was opened: `log_file`, unless that is a
    /// symbolic link. Rotation renames the file, and the link stays.
    target: PathBuf,
    /// The path of the latest file: `target`, or one beside it.
    path: PathBuf,
    /// The file; `None` while no file can be opened at `log_file`.
    current: Option<LogFile>,
    rotation: Option<Rotation>,
    rotated: Option<RotatedFiles>,
    /// The size at which the file is rotated.
    full_at: u64,
    unsynced_files: UnsyncedFiles,
    deletions: Throttle,
    rotation_failures: Throttle,
}

impl Log {
    /// # Errors
    /// When no file can be opened at or beside `path`.
    pub(super) fn open(
        path: &Path,
        rotation: Option<Rotation>,
        unsynced_files: UnsyncedFiles,
    ) -> io::Result<Self> {
        let mut log = Self {
            log_file: std::path::absolute(path)?,
            target: PathBuf::new(),
            path: PathBuf::new(),
            current: None,
            rotation,
            rotated: None,
            full_at: u64::MAX,
            unsynced_files,
            deletions: Throttle::default(),
            rotation_failures: Throttle::default(),
        };
        log.open_current()?;
        Ok(log)
    }

    /// The path of the latest file: the one that `LOG_FILE` leads to, or one beside it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn unsynced_files(&mut self) -> &mut UnsyncedFiles {
        &mut self.unsynced_files
    }

    /// The file, if one is open.
    pub(super) fn current(&self) -> Option<&LogFile> {
        self.current.as_ref()
    }

    /// Whether there are rotated files to remove.
    pub(super) fn has_excess(&self) -> bool {
        self.rotated.as_ref().is_some_and(|rotated| rotated.excess() > 0)
    }

    /// Takes the oldest rotated file off the list if it is to be removed.
    pub(super) fn take_excess(&mut self) -> Option<PathBuf> {
        self.rotated.as_mut().and_then(RotatedFiles::take_oldest)
    }

    /// Bytes until the file is full.
    fn room(&self) -> u64 {
        self.full_at.saturating_sub(self.len())
    }

    fn len(&self) -> u64 {
        self.current.as_ref().map_or(0, LogFile::len)
    }

    /// Opens the path anew if it does not lead to the current file any more, because another program
    /// has renamed or removed the file, or mounted a file system. Returns whether this was so.
    ///
    /// # Errors
    /// When no file can be opened at the path. A later call tries again.
    pub(super) fn verify(&mut self) -> Result<bool, Fault> {
        let is_in_place = match &mut self.current {
            Some(_) if check_path::target(&self.log_file) != self.target => false,
            Some(file) => file.is_at_its_path().map_err(Fault::Write)?,
            None => false,
        };
        if is_in_place {
            return Ok(false);
        }
        // The old file is closed first: the new file may need its space on a full disk, or its
        // descriptor at the limit.
        let is_deleted =
            self.current.as_ref().is_some_and(|old| old.is_deleted() && !old.path().exists());
        if let Some(old) = self.current.take() {
            self.retire(&old)?;
        }
        self.open_current().map_err(|error| {
            Fault::Write(io::Error::new(
                error.kind(),
                format!("its file cannot be opened: {error}"),
            ))
        })?;
        let path = self.path().display();
        if is_deleted {
            warn_throttled!(self.deletions, "the log file {path} was deleted; made it again");
        } else {
            info!("reopened the log file {path}");
        }
        Ok(true)
    }

    fn open_current(&mut self) -> io::Result<()> {
        self.target = check_path::target(&self.log_file);
        let file = LogFile::open(&self.target, &self.target)?;
        self.replace_current(file);
        Ok(())
    }

    /// Unlocks a file that gets no more lines, and has it synced.
    fn retire(&mut self, old: &LogFile) -> Result<(), Fault> {
        old.unlock();
        self.unsynced_files.add(old.file()).map_err(Fault::Sync)
    }

    /// Makes `file` the current one. Returns the previous file.
    fn replace_current(&mut self, file: LogFile) -> Option<LogFile> {
        self.unsynced_files.note_entry_in(file.path());
        self.set_path(file.path());
        if let Some(Rotation { max_bytes, keep }) = self.rotation {
            self.full_at = max_bytes;
            if !self.rotated.as_ref().is_some_and(|rotated| rotated.is_of(file.path())) {
                self.rotated = Some(RotatedFiles::find(file.path(), keep));
            }
        }
        self.current.replace(file)
    }

    /// Sets the path of the latest file; warns if it is now one beside that of `LOG_FILE`.
    fn set_path(&mut self, path: &Path) {
        if path != self.target && path != self.path {
            warn!(
                "another server writes to {}; this one writes to {}",
                self.target.display(),
                path.display()
            );
        }
        if path != self.path {
            self.path = path.to_path_buf();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn append(log: &mut Log, lines: &str) {
        log.append(lines.as_bytes()).1.unwrap();
    }

    #[test]
    fn a_moved_file_is_left_and_a_deleted_one_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::open(&dir.path().join("log"), None, UnsyncedFiles::new(true)).unwrap();
        append(&mut log, "one\n");
        fs::rename(dir.path().join("log"), dir.path().join("moved")).unwrap();
        assert!(log.verify().unwrap());
        append(&mut log, "two\n");
        fs::remove_file(dir.path().join("log")).unwrap();
        assert!(log.verify().unwrap());
        assert!(!log.verify().unwrap());
        append(&mut log, "three\n");
        assert_eq!(fs::read(dir.path().join("log")).unwrap(), b"three\n");
        assert_eq!(fs::read(dir.path().join("moved")).unwrap(), b"one\n");
    }

    #[test]
    fn a_link_to_the_log_may_lead_elsewhere_later() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name| dir.path().join(name);
        symlink("one", at("link")).unwrap();
        let mut log = Log::open(&at("link"), None, UnsyncedFiles::new(false)).unwrap();
        append(&mut log, "1\n");
        assert!(!log.verify().unwrap());
        fs::remove_file(at("link")).unwrap();
        symlink("two", at("link")).unwrap();
        assert!(log.verify().unwrap());
        append(&mut log, "2\n");
        assert_eq!(log.path(), at("two"));
        assert_eq!(fs::read(at("one")).unwrap(), b"1\n");
        assert_eq!(fs::read(at("two")).unwrap(), b"2\n");
    }

    #[test]
    fn a_log_whose_folder_is_gone_takes_no_line_until_the_folder_is_back() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        fs::create_dir(&folder).unwrap();
        let mut log = Log::open(&folder.join("log"), None, UnsyncedFiles::new(false)).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        for _ in 0..2 {
            assert!(matches!(log.verify(), Err(Fault::Write(_))));
            assert!(matches!(log.append(b"lost\n"), (0, Err(Fault::Write(_)))));
        }
        fs::create_dir(&folder).unwrap();
        assert!(log.verify().unwrap());
        append(&mut log, "one\n");
        assert_eq!(fs::read(folder.join("log")).unwrap(), b"one\n");
    }
}
