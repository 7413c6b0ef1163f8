//! The Python for the test programs that use the `websockets` package.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

/// A command that runs a script with `PYTHON`, or with the environment that `.ci/setup` makes, or with
/// the Python of the system.
pub(crate) fn python(script: &str) -> Command {
    let mut command = Command::new(interpreter());
    command.arg(script);
    command
}

fn interpreter() -> OsString {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    set("PYTHON").unwrap_or_else(|| {
        let home = || PathBuf::from(set("HOME").unwrap_or_default()).join(".cache");
        let cache = set("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
        let own = cache.join("websockets-tests/venv/bin/python");
        if own.exists() { own.into() } else { "python3".into() }
    })
}
