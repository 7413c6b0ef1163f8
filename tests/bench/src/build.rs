//! Builds Rust programs with cargo.

use std::env;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process::Process;
use crate::stop::Stop;

/// Builds a package of the workspace at `root`, as it is released. Returns its binary, which has
/// the name of the package.
pub(crate) fn package(root: &Path, package: &str, stop: &Stop) -> Result<PathBuf> {
    let mut messages = tempfile::tempfile().context("cannot make a temporary file")?;
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["build", "--release", "--locked", "--message-format=json-render-diagnostics"])
        .args(["--package", package])
        .current_dir(root)
        .stdout(messages.try_clone()?);
    let status = Process::start(&mut command)?.wait(stop)?;
    if !status.success() {
        bail!("cargo could not build {package} ({status})");
    }
    messages.rewind()?;
    executable(messages, package)?.with_context(|| format!("cargo built no binary {package}"))
}

/// Finds a binary in the messages of cargo.
fn executable(messages: File, name: &str) -> io::Result<Option<PathBuf>> {
    for line in BufReader::new(messages).lines() {
        if let Some(path) = artifact(&line?, name) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn artifact(message: &str, name: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_named = message["target"]["name"] == name;
    message["executable"].as_str().filter(|_| is_named).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_in_the_messages() {
        let message =
            r#"{"reason":"compiler-artifact","target":{"name":"floor"},"executable":"/t/floor"}"#;
        assert_eq!(artifact(message, "floor"), Some("/t/floor".into()));
        assert_eq!(artifact(message, "server"), None);
        let library = r#"{"target":{"name":"floor"},"executable":null}"#;
        assert_eq!(artifact(library, "floor"), None);
        assert_eq!(artifact("Hello from a build script", "floor"), None);
    }
}
