//! The programs of the workspace, for tests that run more than the one of their own crate.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the programs. Cargo builds the client together with the client's own tests; if
/// these were left out, this function builds the client.
pub(crate) fn folder() -> PathBuf {
    let server = Path::new(env!("CARGO_BIN_EXE_server"));
    let folder = server.parent().expect("a folder").to_owned();
    if !folder.join("client").exists() {
        let built =
            Command::new(env!("CARGO")).args(["build", "--locked", "-p", "client"]).status();
        assert!(built.expect("cargo is there").success());
    }
    folder
}
