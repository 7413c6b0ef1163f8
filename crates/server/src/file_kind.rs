//! The types of files, for errors about what should be a regular file.

use std::fs::FileType;
use std::os::unix::fs::FileTypeExt;

/// The name of a file type, unless it is a regular file.
pub(crate) fn other_than_regular(file_type: FileType) -> Option<&'static str> {
    if file_type.is_file() {
        None
    } else if file_type.is_dir() {
        Some("a folder")
    } else if file_type.is_fifo() {
        Some("a pipe")
    } else if file_type.is_socket() {
        Some("a socket")
    } else {
        Some("a device")
    }
}
