//! Keeps private keys out of git.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tracing::warn;

/// Has git ignore a folder that the server created, as Python's `venv` does with its own.
pub(super) fn ignore(folder: &Path) {
    if !is_in_work_tree(folder) {
        return;
    }
    if let Err(error) = fs::write(folder.join(".gitignore"), "*\n") {
        warn!("git may commit the private key in {folder:?}: cannot write .gitignore: {error}");
    }
}

/// Warns if git would commit the file `key` in a folder of the operator. Says nothing if git is
/// not installed.
pub(super) fn warn_if_not_ignored(folder: &Path, key: &str) {
    if !is_in_work_tree(folder) {
        return;
    }
    let mut git = Command::new("git");
    git.arg("-C").arg(folder).args(["check-ignore", "--quiet", key]);
    git.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // 0: ignored, 1: not ignored, 128: git cannot tell.
    if git.status().is_ok_and(|status| status.code() == Some(1)) {
        warn!("git does not ignore the private key in {folder:?}: add the folder to .gitignore");
    }
}

fn is_in_work_tree(folder: &Path) -> bool {
    folder.ancestors().any(|folder| folder.join(".git").exists())
}
