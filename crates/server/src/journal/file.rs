//! The log file: whole lines are appended, and it is rotated where that is asked for.

use std::fs::{self, File};
use std::io::{self, Write};
use std::mem;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use tracing::{info, warn};

use super::claim::{Claimed, claim, is_at};

/// When a file is full, and how many full ones stay.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// Size in bytes that a file keeps to (`LOG_MAX_BYTES`); a longer line has one of its own.
    pub max_bytes: u64,
    /// Rotated files that are kept (`LOG_KEEP`); all of them if `None`.
    pub keep: Option<u32>,
}

/// The file that the lines go to.
#[derive(Debug)]
pub(super) struct LogFile {
    /// The path that was asked for.
    configured: PathBuf,
    /// The path that is written to: the same, or one beside it.
    path: PathBuf,
    file: Arc<File>,
    /// Its size; too large where someone else truncated it.
    len: u64,
    /// Where the last whole line ends, while bytes of a failed write still stand behind it.
    torn_at: Option<u64>,
    rotation: Option<Rotation>,
    /// The size at which the file is rotated.
    full_at: u64,
    /// Files that were left, and directories, that may not be on the disk yet.
    left: Vec<Arc<File>>,
}

impl LogFile {
    /// # Errors
    /// When no file can be opened at or beside `path`.
    pub(super) fn open(path: &Path, rotation: Option<Rotation>) -> io::Result<Self> {
        let Claimed { file, path: claimed } = claim(path)?;
        let mut log = Self {
            configured: path.to_path_buf(),
            path: claimed,
            len: file.metadata()?.len(),
            file: Arc::new(file),
            torn_at: None,
            rotation,
            full_at: rotation.map_or(u64::MAX, |rotation| rotation.max_bytes),
            left: Vec::new(),
        };
        log.leave_directory();
        Ok(log)
    }

    /// The path that is written to.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Hands `lines`, which are whole, to the operating system, in one write as a rule. Returns
    /// how many bytes of them, whole lines too, are in a file now, and why not all are.
    pub(super) fn append(&mut self, lines: &[u8]) -> (usize, io::Result<()>) {
        let mut written = 0;
        while written < lines.len() {
            let lines = &lines[written..];
            let mut fitting = fitting(lines, self.full_at.saturating_sub(self.len));
            if fitting == 0 {
                self.rotate();
                fitting = fitting_at_least_one(lines, self.full_at.saturating_sub(self.len));
            }
            if let Err(error) = self.write(&lines[..fitting]) {
                return (written, Err(error));
            }
            written += fitting;
        }
        (written, Ok(()))
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.cut_torn()?;
        let mut written = 0;
        while written < lines.len() {
            match (&*self.file).write(&lines[written..]) {
                Ok(0) => return self.give_up(written, io::ErrorKind::WriteZero.into()),
                Ok(n) => written += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.give_up(written, error),
            }
        }
        self.len += written as u64;
        Ok(())
    }

    /// Takes a part of a write back.
    fn give_up(&mut self, written: usize, cause: io::Error) -> io::Result<()> {
        if written > 0 {
            let len = self.file.metadata().map(|metadata| metadata.len()).ok();
            self.torn_at = len.and_then(|len| len.checked_sub(written as u64));
            if let Err(error) = self.cut_torn() {
                warn!(
                    "{} cannot be cut back to its last whole line yet: {error}",
                    self.path.display()
                );
            }
        }
        Err(cause)
    }

    fn cut_torn(&mut self) -> io::Result<()> {
        if let Some(end) = self.torn_at {
            let metadata = self.file.metadata()?;
            if metadata.is_file() && metadata.len() > end {
                self.file.set_len(end)?;
            }
            self.torn_at = None;
        }
        Ok(())
    }

    /// Whether a line could be written now; `false` if only writing one can tell.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn probe(&self) -> io::Result<bool> {
        const ROOM: u64 = 4096;
        let metadata = self.file.metadata()?;
        if !metadata.is_file() {
            return Ok(false);
        }
        // The limit of the process is not looked at where the size stays.
        let most = getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX);
        if metadata.len().saturating_add(ROOM) > most {
            return Err(Errno::FBIG.into());
        }
        match rustix::fs::fallocate(&*self.file, FallocateFlags::KEEP_SIZE, metadata.len(), ROOM) {
            // Where room cannot be set aside, the next ping has to show.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) | Ok(()) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the file anew if its path leads elsewhere by now: another program renamed it.
    pub(super) fn reopen(&mut self) {
        if is_at(&self.file, &self.path) {
            info!("log file {} is still the same, nothing to reopen", self.path.display());
            return;
        }
        match self.claim_again() {
            Ok(()) => info!("reopened the log file {}", self.path.display()),
            Err(error) => {
                warn!(
                    "kept the old log file, as {} cannot be opened: {error}",
                    self.path.display()
                );
            }
        }
    }

    /// Makes the file again if it was deleted under the server.
    pub(super) fn restore_if_deleted(&mut self) {
        if self.file.metadata().is_ok_and(|m| m.is_file() && m.nlink() == 0) {
            warn!("the log file {} was deleted; making it again", self.path.display());
            self.reopen();
        }
    }

    fn claim_again(&mut self) -> io::Result<()> {
        let Claimed { file, path } = claim(&self.configured)?;
        self.len = file.metadata()?.len();
        self.path = path;
        self.torn_at = None;
        self.full_at = self.rotation.map_or(u64::MAX, |rotation| rotation.max_bytes);
        self.left.push(mem::replace(&mut self.file, Arc::new(file)));
        self.leave_directory();
        Ok(())
    }

    /// Has the name of the file brought to the disk as well: it stands in the directory.
    fn leave_directory(&mut self) {
        let directory = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        self.left.extend(File::open(directory).ok().map(Arc::new));
    }

    /// What has changed on the disk since the last call: directories, files that were left, and
    /// the present one last.
    pub(super) fn take_unsynced(&mut self) -> Vec<Arc<File>> {
        let mut files = mem::take(&mut self.left);
        files.push(Arc::clone(&self.file));
        files
    }

    /// Moves the file out of the way and begins a new one. Where that fails the file grows on,
    /// and the next try comes when it has grown by its allowed size again.
    fn rotate(&mut self) {
        let Some(rotation) = self.rotation else { return };
        self.len = self.file.metadata().map_or(self.len, |m| m.len());
        if self.len == 0 {
            return;
        }
        // A try that came halfway has moved the file already.
        let is_moved = !is_at(&self.file, &self.path);
        let moved = if is_moved { Ok(()) } else { shift(&self.path, rotation.keep) };
        if let Err(error) = moved.and_then(|()| self.claim_again()) {
            warn!("cannot rotate the log file {}: {error}", self.path.display());
            self.full_at = self.len.saturating_add(rotation.max_bytes);
        }
    }
}

/// Renames `log` to `log.1`, after `log.1` to `log.2` and so on; beyond `keep` files the oldest
/// one goes.
fn shift(log: &Path, keep: Option<u32>) -> io::Result<()> {
    let numbered = |number: u32| {
        let mut name = log.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    let keep = keep.unwrap_or(u32::MAX);
    let free = (1..keep).find(|&number| !numbered(number).exists()).unwrap_or(keep);
    for number in (1..free).rev() {
        fs::rename(numbered(number), numbered(number + 1))?;
    }
    fs::rename(log, numbered(1))
}

/// Length of the longest run of whole lines that has at most `room` bytes.
fn fitting(lines: &[u8], room: u64) -> usize {
    match usize::try_from(room) {
        Ok(room) if room < lines.len() => {
            lines[..room].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1)
        }
        _ => lines.len(),
    }
}

/// The same, but the first line is taken however long it is.
fn fitting_at_least_one(lines: &[u8], room: u64) -> usize {
    match fitting(lines, room) {
        0 => lines.iter().position(|&byte| byte == b'\n').map_or(lines.len(), |at| at + 1),
        fitting => fitting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotated(max_bytes: u64, keep: Option<u32>, batches: &[&str]) -> Vec<(String, String)> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = LogFile::open(&path, Some(Rotation { max_bytes, keep })).unwrap();
        for batch in batches {
            log.append(batch.as_bytes()).1.unwrap();
        }
        let mut files: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|p| {
                (p.file_name().unwrap().to_string_lossy().into(), fs::read_to_string(p).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    fn files(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|&(name, text)| (name.into(), text.into())).collect()
    }

    #[test]
    fn a_full_file_is_rotated_between_lines() {
        assert_eq!(
            rotated(8, None, &["aaa\nbbb\n", "ccc\n", "ddd\neee\nfff\n"]),
            files(&[("log", "eee\nfff\n"), ("log.1", "ccc\nddd\n"), ("log.2", "aaa\nbbb\n")])
        );
    }

    #[test]
    fn a_line_longer_than_a_file_has_its_own() {
        assert_eq!(
            rotated(4, None, &["a\n", "long line\n", "b\n"]),
            files(&[("log", "b\n"), ("log.1", "long line\n"), ("log.2", "a\n")])
        );
    }

    #[test]
    fn the_oldest_go_beyond_the_number_to_keep() {
        assert_eq!(
            rotated(2, Some(2), &["1\n", "2\n", "3\n", "4\n", "5\n"]),
            files(&[("log", "5\n"), ("log.1", "4\n"), ("log.2", "3\n")])
        );
        assert_eq!(
            rotated(2, Some(1), &["1\n", "2\n", "3\n"]),
            files(&[("log", "3\n"), ("log.1", "2\n")])
        );
    }

    #[test]
    fn a_file_that_was_moved_is_left_and_a_deleted_one_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = LogFile::open(&path, None).unwrap();
        log.append(b"one\n").1.unwrap();
        fs::rename(&path, dir.path().join("moved")).unwrap();
        log.append(b"two\n").1.unwrap();
        log.reopen();
        log.append(b"three\n").1.unwrap();
        assert_eq!(fs::read(dir.path().join("moved")).unwrap(), b"one\ntwo\n");
        assert_eq!(fs::read(&path).unwrap(), b"three\n");

        fs::remove_file(&path).unwrap();
        log.restore_if_deleted();
        log.append(b"four\n").1.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"four\n");
        // Three files, and each time its directory.
        assert_eq!(log.take_unsynced().len(), 6);
        assert_eq!(log.take_unsynced().len(), 1);
    }

    #[test]
    fn a_file_with_room_passes_the_probe() {
        let dir = tempfile::tempdir().unwrap();
        let log = LogFile::open(&dir.path().join("log"), None).unwrap();
        assert!(log.probe().unwrap());
        assert_eq!(log.file.metadata().unwrap().len(), 0);
    }
}
