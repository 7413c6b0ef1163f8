//! The input: lines to send.
//!
//! A separate thread reads lines ahead, up to the size of the queue. The thread is never joined: a
//! read from a terminal blocks until a key is pressed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::thread;

use proto::limits::MAX_MESSAGE;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// Lines that may be queued for sending.
pub(super) const QUEUE: usize = 64;

/// Longest line, in bytes, with its line end.
const MAX_LINE: u64 = MAX_MESSAGE as u64 + 2;

/// One read from the input. Only a text can be followed by another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line, without its line end.
    Text(Utf8Bytes),
    /// The input is unusable from here on, for this reason.
    Unusable(String),
    /// Ctrl-C was pressed.
    Interrupt,
}

/// The lines, up to the end of the input.
pub(super) type Lines = mpsc::Receiver<Line>;

impl Line {
    pub(super) fn too_long(number: u64) -> Self {
        Self::unusable(number, &format!("is longer than {MAX_MESSAGE} bytes"))
    }

    fn unusable(number: u64, cause: &str) -> Self {
        Self::Unusable(format!(
            "line {number} of the input {cause}; it was not sent, nor what follows it"
        ))
    }
}

/// Starts to read the lines of stdin.
///
/// # Errors
/// If no descriptor is free, or the thread cannot be spawned.
pub(super) fn stdin() -> io::Result<Lines> {
    // A duplicate descriptor avoids the shared lock and buffer of `io::stdin`.
    let stdin = io::stdin().as_fd().try_clone_to_owned().map(File::from)?;
    lines(BufReader::new(stdin))
}

/// # Errors
/// If the thread cannot be spawned.
pub(super) fn lines(mut input: impl BufRead + Send + 'static) -> io::Result<Lines> {
    let (lines, receiver) = mpsc::channel(QUEUE);
    thread::Builder::new().name("stdin".into()).spawn(move || {
        for number in 1_u64.. {
            let Some(line) = next(&mut input, number) else { return };
            let is_last = !matches!(line, Line::Text(_));
            if lines.blocking_send(line).is_err() || is_last {
                return;
            }
        }
    })?;
    Ok(receiver)
}

fn next(input: &mut impl BufRead, number: u64) -> Option<Line> {
    let mut line = Vec::new();
    match input.take(MAX_LINE).read_until(b'\n', &mut line) {
        Ok(0) => return None,
        Ok(_) => {}
        Err(error) => {
            return Some(Line::Unusable(format!(
                "cannot read line {number} of the input: {error}"
            )));
        }
    }
    if line.pop_if(|last| *last == b'\n').is_some() {
        line.pop_if(|last| *last == b'\r');
    }
    if line.len() > MAX_MESSAGE {
        return Some(Line::too_long(number));
    }
    Some(match String::from_utf8(line) {
        Ok(text) => Line::Text(text.into()),
        Err(_) => Line::unusable(number, "is not text in UTF-8"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn read(input: impl Into<Vec<u8>>) -> Vec<Result<String, String>> {
        let mut receiver = lines(Cursor::new(input.into())).unwrap();
        std::iter::from_fn(|| receiver.blocking_recv())
            .map(|line| match line {
                Line::Text(text) => Ok(text.as_str().to_owned()),
                Line::Unusable(cause) => Err(cause),
                Line::Interrupt => unreachable!(),
            })
            .collect()
    }

    fn texts(input: &str) -> Vec<String> {
        read(input).into_iter().map(Result::unwrap).collect()
    }

    #[test]
    fn line_ends_are_removed() {
        assert_eq!(texts(""), [""; 0]);
        assert_eq!(texts("1\n2\r\n3"), ["1", "2", "3"]);
        assert_eq!(texts("\n\r\n\n"), ["", "", ""]);
        assert_eq!(texts(" a \r\r\nb\r"), [" a \r", "b\r"]);
    }

    #[test]
    fn the_longest_line_is_as_long_as_a_message() {
        let longest = "x".repeat(MAX_MESSAGE);
        for end in ["", "\n", "\r\n"] {
            assert_eq!(texts(&format!("a\n{longest}{end}")), ["a", &longest]);
        }
        for end in ["x", "x\r", "\r\r"] {
            let lines = read(format!("a\n{longest}{end}\nb\n"));
            assert_eq!(lines.len(), 2);
            assert_eq!(lines[0].as_deref(), Ok("a"));
            let error = lines[1].as_ref().unwrap_err();
            assert!(
                error.starts_with("line 2 of the input is longer than 65536 bytes;"),
                "{error}"
            );
        }
    }

    #[test]
    fn invalid_utf8_ends_the_input() {
        let lines = read(b"a\n\nb\xff\nc\n");
        assert_eq!(lines[..2], [Ok("a".into()), Ok(String::new())]);
        let error =
            "line 3 of the input is not text in UTF-8; it was not sent, nor what follows it";
        assert_eq!(lines[2..], [Err(error.into())]);
    }

    proptest! {
        #[test]
        fn no_line_is_lost(lines in proptest::collection::vec("[^\r\n]{0,9}", 0..9)) {
            let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
            prop_assert_eq!(texts(&input), lines);
        }
    }
}
