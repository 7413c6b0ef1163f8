//! Appending lines to the log, with a rotation where the file is full.

use std::io;

use super::{Fault, Log};

impl Log {
    /// Appends whole `lines`, as a rule in one write. Returns how many bytes of whole lines are in a
    /// file now, and the error if these are not all.
    pub(in crate::journal) fn append(&mut self, lines: &[u8]) -> (usize, Result<(), Fault>) {
        let mut written = 0;
        while written < lines.len() {
            match self.append_some(&lines[written..]) {
                Ok(more) => written += more,
                Err(fault) => return (written, Err(fault)),
            }
        }
        (written, Ok(()))
    }

    /// Appends as many of `lines` as fit into the file, after a rotation if none do.
    fn append_some(&mut self, lines: &[u8]) -> Result<usize, Fault> {
        let mut some = fitting(lines, self.room());
        if some == 0 {
            self.rotate()?;
            some = fitting_at_least_one(lines, self.room());
        }
        let missing = || Fault::Write(io::ErrorKind::NotFound.into());
        let file = self.current.as_mut().ok_or_else(missing)?;
        file.append(&lines[..some]).map_err(Fault::Write)?;
        Ok(some)
    }
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

/// [`fitting`], or the length of the first line if not even this line fits.
fn fitting_at_least_one(lines: &[u8], room: u64) -> usize {
    match fitting(lines, room) {
        0 => lines.iter().position(|&byte| byte == b'\n').map_or(lines.len(), |at| at + 1),
        fitting => fitting,
    }
}
