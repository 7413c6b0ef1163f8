//! websocat, a command-line program that is both a WebSocket client and a server.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::python::python;

/// websocat, from the environment that `.ci/setup` makes if it is there.
pub(crate) fn websocat() -> OsString {
    let python = PathBuf::from(python("").get_program());
    let own = python.with_file_name("websocat");
    if own.exists() { own.into() } else { "websocat".into() }
}
