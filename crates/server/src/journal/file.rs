//! One open log file: lines are appended whole, or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::open::{open_and_lock, repair};

/// Room on the disk at which a file counts as writable again, in bytes.
const MIN_ROOM: u64 = 4096;

/// A log file that is open, locked, and ends in a whole line.
#[derive(Debug)]
pub(super) struct LogFile {
    file: Arc<File>,
    path: PathBuf,
    /// Device and inode.
    id: (u64, u64),
    /// Size in bytes, unless another program has changed the file.
    len: u64,
    /// Where the last whole line ends, while bytes of a failed write follow it.
    torn_at: Option<u64>,
}

impl LogFile {
    /// Opens the file at `preferred`, which is `path` or one beside it. If another server writes to
    /// that file, opens the one at `path` or the next one beside it.
    ///
    /// # Errors
    /// If none of these files can be opened.
    pub(super) fn open(path: &Path, preferred: &Path) -> io::Result<Self> {
        let (file, path) = open_and_lock(path, preferred)?;
        let metadata = file.metadata()?;
        let id = (metadata.dev(), metadata.ino());
        Ok(Self { file: Arc::new(file), path, id, len: metadata.len(), torn_at: None })
    }

    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The size of the file, in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Whether no path leads to the file any more.
    pub(super) fn is_deleted(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }

    /// Gives up the lock. Another program may rename the file back to its path while this server has
    /// the file still open for its sync.
    pub(super) fn unlock(&self) {
        // Fails on a file system without locks; no lock was held then.
        let _ = self.file.unlock();
    }

    /// Whether the path still leads to this file. If another program has changed the size of the
    /// file, as by truncation, the file is cut back to a whole line.
    ///
    /// # Errors
    /// If the file does not end in a whole line, and cannot be cut.
    pub(super) fn is_at_its_path(&mut self) -> io::Result<bool> {
        let Ok(metadata) = fs::metadata(&self.path) else { return Ok(false) };
        if (metadata.dev(), metadata.ino()) != self.id {
            return Ok(false);
        }
        self.truncate_torn()?;
        if metadata.len() != self.len {
            self.len = repair(&self.file, &self.path)?;
        }
        Ok(true)
    }

    /// Appends whole `lines`, as a rule in one write. If a write fails, none of them stay.
    ///
    /// # Errors
    /// When the lines could not be written.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.truncate_torn()?;
        let mut written = 0;
        while written < lines.len() {
            match (&*self.file).write(&lines[written..]) {
                Ok(0) => return Err(self.undo_write(written, io::ErrorKind::WriteZero.into())),
                Ok(n) => written += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.undo_write(written, error)),
            }
        }
        self.len += written as u64;
        Ok(())
    }

    /// Cuts off the `written` bytes of a write that failed with `cause`, which is returned. If they
    /// cannot be cut off, [`Self::truncate_torn`] tries again.
    fn undo_write(&mut self, written: usize, cause: io::Error) -> io::Error {
        if written > 0 {
            // With O_APPEND the bytes are at the end of the file, whatever size another program has
            // given it.
            let len = self.file.metadata().map_or(self.len + written as u64, |m| m.len());
            self.torn_at = len.checked_sub(written as u64);
            let _ = self.truncate_torn();
        }
        cause
    }

    fn truncate_torn(&mut self) -> io::Result<()> {
        if let Some(end) = self.torn_at {
            if self.file.metadata()?.len() > end {
                self.file.set_len(end)?;
            }
            self.len = end;
            self.torn_at = None;
        }
        Ok(())
    }

    /// Checks whether a line could be written now, without writing one.
    ///
    /// # Errors
    /// The error that writing a line would return.
    pub(super) fn check_writable(&self) -> io::Result<()> {
        let len = self.file.metadata()?.len();
        // fallocate checks RLIMIT_FSIZE only if the size of the file changes.
        let most = getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX);
        if len.saturating_add(MIN_ROOM) > most {
            return Err(Errno::FBIG.into());
        }
        match rustix::fs::fallocate(&*self.file, FallocateFlags::KEEP_SIZE, len, MIN_ROOM) {
            // The file system cannot reserve room: whether the file is writable shows at the next
            // append.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> (tempfile::TempDir, LogFile) {
        let dir = tempfile::tempdir().unwrap();
        let file = LogFile::open(&dir.path().join("log"), &dir.path().join("log")).unwrap();
        (dir, file)
    }

    #[test]
    fn a_file_with_room_passes_the_check_and_keeps_its_size() {
        let (_dir, file) = open();
        file.check_writable().unwrap();
        assert_eq!(fs::metadata(file.path()).unwrap().len(), 0);
    }

    #[test]
    fn a_file_that_was_renamed_or_replaced_is_not_at_its_path() {
        let (dir, mut file) = open();
        file.append(b"one\n").unwrap();
        assert!(file.is_at_its_path().unwrap());
        fs::rename(file.path(), dir.path().join("moved")).unwrap();
        assert!(!file.is_at_its_path().unwrap());
        assert!(!file.is_deleted());
        fs::write(file.path(), "").unwrap();
        assert!(!file.is_at_its_path().unwrap());
        fs::remove_file(dir.path().join("moved")).unwrap();
        assert!(file.is_deleted());
    }

    #[test]
    fn a_file_that_was_truncated_in_the_middle_of_a_line_is_cut_back_to_a_whole_one() {
        let (_dir, mut file) = open();
        file.append(b"one\n[19-12-2023 12:43:12] \n").unwrap();
        File::options().write(true).open(file.path()).unwrap().set_len(20).unwrap();
        assert!(file.is_at_its_path().unwrap());
        assert_eq!(file.len(), 4);
        file.append(b"three\n").unwrap();
        assert_eq!(fs::read(file.path()).unwrap(), b"one\nthree\n");
    }
}
