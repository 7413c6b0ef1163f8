//! Opening the log file: a regular file, locked, that ends in a whole line.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use proto::line;
use tracing::warn;

use super::check_path;
use crate::throttle::{Throttle, warn_throttled};

/// Most servers of one host that write beside each other in a folder.
const MAX_NAMES: usize = 100;

/// How often a path may lead to another file between opening and locking before this fails.
const MAX_RACES: usize = 100;

/// Limits the warnings about a file system without locks, where each rotation opens a file.
static UNLOCKED: LazyLock<Throttle> = LazyLock::new(Throttle::default);

/// Most bytes of an unfinished line that the warning shows.
const SHOWN: usize = 256;

/// Opens and locks the file at `path`, and creates it if it is missing. If another server holds the
/// lock, opens `NAME.HOST.EXTENSION` beside it, then `NAME.HOST.2.EXTENSION` and so on. `preferred` is
/// one of these paths, and tried first. Returns the file and its path.
///
/// # Errors
/// When a file is not a regular one, or cannot be opened or repaired.
pub(super) fn open_and_lock(path: &Path, preferred: &Path) -> io::Result<(File, PathBuf)> {
    let names = (1..MAX_NAMES).map(|number| beside(path, number));
    for candidate in [preferred.to_path_buf(), path.to_path_buf()].into_iter().chain(names) {
        if let Some(file) = lock(&candidate)? {
            repair(&file, &candidate)?;
            return Ok((file, candidate));
        }
    }
    Err(io::Error::other(format!("{MAX_NAMES} servers of this host write beside it already")))
}

/// `server_logs.txt` as `server_logs.HOST.txt`, with a number from the second server on.
fn beside(path: &Path, number: usize) -> PathBuf {
    let host = rustix::system::uname();
    let mut name = OsString::from(path.file_stem().unwrap_or_default());
    name.push(".");
    name.push(host.nodename().to_string_lossy().replace('/', "_"));
    if number > 1 {
        name.push(format!(".{number}"));
    }
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// Opens and locks the file at `path`; `None` if another process holds the lock.
fn lock(path: &Path) -> io::Result<Option<File>> {
    for _ in 0..MAX_RACES {
        // Opening a device or a pipe can have effects, so the type is also checked before.
        if let Ok(metadata) = fs::metadata(path) {
            check_path::check_type(metadata.file_type())?;
        }
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        check_path::check_type(file.metadata()?.file_type())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => {
                warn_throttled!(
                    UNLOCKED,
                    "{} cannot be locked ({error}); make sure that one server writes to it",
                    path.display()
                );
            }
        }
        // Another program may have renamed the file before it was locked.
        if is_at(&file, path) {
            return Ok(Some(file));
        }
    }
    Err(io::Error::other("another file takes its place again and again"))
}

/// Whether `path` leads to `file`.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// Makes the file end in a whole line, and returns the new size. A torn line of this log is cut off,
/// as its ping was never acknowledged; so are NUL bytes, which file systems leave behind after a
/// crash, in place of such a line or of its end. Any other text is not the server's, and only gets
/// its newline.
///
/// # Errors
/// When the file cannot be read, cut or written.
pub(super) fn repair(file: &File, path: &Path) -> io::Result<u64> {
    let len = file.metadata()?.len();
    let whole = end_of_last_line(file, len)?;
    if whole == len {
        return Ok(len);
    }
    let unfinished = len - whole;
    let mut begin = vec![0; SHOWN.min(usize::try_from(unfinished).unwrap_or(SHOWN))];
    file.read_exact_at(&mut begin, whole)?;
    let shown = proto::escape::plain(&String::from_utf8_lossy(&begin));
    let more = if unfinished > SHOWN as u64 { "…" } else { "" };
    let path = path.display();
    let before_nul = begin.split(|&byte| byte == 0).next().unwrap_or_default();
    if line::can_begin_with(before_nul) {
        file.set_len(whole)?;
        warn!(
            "cut {unfinished} bytes off the end of {path}, a line without its end: {shown}{more}"
        );
        return Ok(whole);
    }
    let mut file = file;
    file.write_all(b"\n")?;
    warn!(
        "the last line of {path} is not of this log and had no end; it stays, and has one now: {shown}{more}"
    );
    Ok(len + 1)
}

/// The offset after the last newline of the first `len` bytes; 0 without one.
fn end_of_last_line(file: &File, len: u64) -> io::Result<u64> {
    let mut block = [0; 8192];
    let mut end = len;
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let part = &mut block[..usize::try_from(end - start).unwrap_or(0)];
        file.read_exact_at(part, start)?;
        if let Some(at) = part.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repaired(content: &[u8]) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.txt");
        fs::write(&path, content).unwrap();
        open_and_lock(&path, &path).unwrap();
        fs::read(&path).unwrap()
    }

    #[test]
    fn a_torn_line_is_cut_off() {
        const TORN: &[u8] = b"[19-12-2023 12:43:12] Recieved from client (\"Client-300\"): Pi";
        assert_eq!(repaired(b""), b"");
        assert_eq!(repaired(b"one\ntwo\n"), b"one\ntwo\n");
        for end in 1..TORN.len() {
            let torn = &TORN[..end];
            assert_eq!(repaired(torn), b"");
            assert_eq!(repaired(&[b"one\n", torn].concat()), b"one\n");
            assert_eq!(repaired(&[b"one\n", torn, &[0; 300]].concat()), b"one\n");
        }
        assert_eq!(repaired(&[b"one\n".as_slice(), &[0; 20_000]].concat()), b"one\n");
    }

    #[test]
    fn foreign_text_without_a_newline_stays_and_gets_one() {
        for text in ["one\ntwo", "notes", "[19-12-2023] a note", &"x".repeat(20_000)] {
            assert_eq!(repaired(text.as_bytes()), format!("{text}\n").into_bytes());
        }
    }

    #[test]
    fn the_second_and_the_third_server_write_beside_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server_logs.txt");
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let files = [(); 3].map(|()| open_and_lock(&path, &path).unwrap());
        let names = files.each_ref().map(|(_, path)| path.file_name().unwrap().to_str().unwrap());
        assert_eq!(
            names,
            [
                "server_logs.txt",
                &format!("server_logs.{host}.txt"),
                &format!("server_logs.{host}.2.txt")
            ]
        );

        let third = files[2].1.clone();
        drop(files);
        assert_eq!(open_and_lock(&path, &third).unwrap().1, third);
    }
}
