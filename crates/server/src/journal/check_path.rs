//! Checks that `LOG_FILE` is a regular file, and not the file of a standard stream: the log
//! truncates a torn line, syncs lines, and is read later.

use std::fs::{self, FileType};
use std::io;
use std::iter;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{PROC_SUPER_MAGIC, fstat, statfs};

use crate::file_kind::other_than_regular;

/// Most symbolic links that are followed, as in the kernel (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// Checks that `path` can be a log: a regular file, or nothing yet.
///
/// # Errors
/// What `path` is instead, such as `a pipe`.
pub fn check_path(path: &Path) -> Result<(), &'static str> {
    let name = path.as_os_str().as_bytes();
    if name.ends_with(b"/") || name.ends_with(b"/.") {
        return Err("a folder");
    }
    in_proc(path).map_or(Ok(()), Err)?;
    let Ok(metadata) = fs::metadata(path) else { return Ok(()) };
    other_than_regular(metadata.file_type()).map_or(Ok(()), Err)?;
    let is_stream = |stream: &dyn AsFd| {
        fstat(stream)
            .is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (metadata.dev(), metadata.ino()))
    };
    if is_stream(&io::stdout()) {
        return Err("the file that the standard output goes to");
    }
    if is_stream(&io::stderr()) {
        return Err("the file that the standard error output goes to");
    }
    Ok(())
}

/// # Errors
/// When a file of this type cannot be a log.
pub(super) fn check_type(file_type: FileType) -> io::Result<()> {
    let refuse = |kind| Err(io::Error::other(format!("it is {kind}, not a regular file")));
    other_than_regular(file_type).map_or(Ok(()), refuse)
}

/// The kind of file that `path` is if it, or a symbolic link that it leads to, is in `/proc`. An entry
/// of a folder `fd` there, where `/dev/stdout` leads, stands for an open descriptor.
fn in_proc(path: &Path) -> Option<&'static str> {
    links(path).find_map(|path| {
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if !statfs(parent).is_ok_and(|stat| stat.f_type == PROC_SUPER_MAGIC) {
            return None;
        }
        let is_stream = fs::canonicalize(parent).is_ok_and(|parent| parent.ends_with("fd"));
        Some(if is_stream { "a stream of the process" } else { "a file in /proc" })
    })
}

/// The path that `path` leads to if it is a symbolic link, to a file that may be missing; otherwise
/// `path` itself. Links to folders on the way stay.
pub(super) fn target(path: &Path) -> PathBuf {
    links(path).last().unwrap_or_default()
}

/// `path`, and the path of each symbolic link that follows.
fn links(path: &Path) -> impl Iterator<Item = PathBuf> {
    let next = |path: &PathBuf| {
        let target = fs::read_link(path).ok()?;
        Some(path.parent().unwrap_or(Path::new("")).join(target))
    };
    iter::successors(Some(path.to_path_buf()), next).take(MAX_LINKS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    #[test]
    fn a_regular_file_a_link_to_one_and_a_missing_file_can_be_logs() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name| dir.path().join(name);
        File::create(at("file")).unwrap();
        symlink("file", at("link")).unwrap();
        symlink("missing", at("dangling")).unwrap();
        for name in ["file", "link", "missing", "dangling", "no folder/file"] {
            assert_eq!(check_path(&at(name)), Ok(()), "{name}");
        }
    }

    #[test]
    fn the_target_of_a_link_is_where_the_last_link_leads() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name| dir.path().join(name);
        symlink("folder/second", at("first")).unwrap();
        fs::create_dir(at("folder")).unwrap();
        symlink("../missing", at("folder/second")).unwrap();
        symlink("loop", at("loop")).unwrap();
        assert_eq!(target(&at("first")), at("folder/../missing"));
        assert_eq!(target(&at("missing")), at("missing"));
        assert_eq!(target(&at("loop")), at("loop"));
    }

    #[test]
    fn a_file_of_another_type_is_refused_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name| dir.path().join(name);
        assert!(Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
        let _listener = UnixListener::bind(at("socket")).unwrap();
        assert_eq!(check_path(&at("fifo")), Err("a pipe"));
        assert_eq!(check_path(&at("socket")), Err("a socket"));
        assert_eq!(check_path(dir.path()), Err("a folder"));
        assert_eq!(check_path(&at("missing/")), Err("a folder"));
        assert_eq!(check_path(&at("missing/.")), Err("a folder"));
        assert_eq!(check_path(Path::new("/dev/null")), Err("a device"));
        assert_eq!(check_path(Path::new("/proc/server_logs.txt")), Err("a file in /proc"));
    }

    #[test]
    fn a_stream_of_the_process_is_refused_under_any_name_and_wherever_it_leads() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        symlink("/dev/stderr", &link).unwrap();
        let own = format!("/proc/{}/fd/0", std::process::id());
        let names = ["/dev/stdout", "/dev/fd/2", "/proc/self/fd/1", &own, link.to_str().unwrap()];
        for name in names {
            assert_eq!(check_path(Path::new(name)), Err("a stream of the process"), "{name}");
        }
    }
}
