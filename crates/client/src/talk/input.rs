//! The lines of stdin, as they are typed or piped in.
//!
//! A thread of its own reads them, a few ahead of those that are sent. Nobody waits for it: a
//! read from a terminal lasts until somebody types.

use std::io::{self, BufRead, Read};
use std::thread;

use proto::limits::MAX_MESSAGE;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// Lines that may wait to be sent.
const QUEUE: usize = 64;

/// Longest line, in bytes, with its line end.
const MAX_LINE: u64 = MAX_MESSAGE as u64 + 2;

/// The lines, without their line ends. The last of all is why there are no more, unless the input
/// came to its end.
pub(crate) type Lines = mpsc::Receiver<Result<Utf8Bytes, String>>;

/// Starts to read.
///
/// # Errors
/// When there can be no further thread.
pub(crate) fn lines(mut input: impl BufRead + Send + 'static) -> io::Result<Lines> {
    let (lines, receiver) = mpsc::channel(QUEUE);
    thread::Builder::new().name("stdin".into()).spawn(move || {
        for number in 1_u64.. {
            let Some(line) = next(&mut input, number).transpose() else { return };
            let is_last = line.is_err();
            if lines.blocking_send(line).is_err() || is_last {
                return;
            }
        }
    })?;
    Ok(receiver)
}

fn next(input: &mut impl BufRead, number: u64) -> Result<Option<Utf8Bytes>, String> {
    let mut line = Vec::new();
    let read = input.take(MAX_LINE).read_until(b'\n', &mut line);
    if read.map_err(|error| format!("cannot read line {number} of the input: {error}"))? == 0 {
        return Ok(None);
    }
    if line.pop_if(|last| *last == b'\n').is_some() {
        line.pop_if(|last| *last == b'\r');
    }
    if line.len() > MAX_MESSAGE {
        return Err(unusable(number, &format!("is longer than {MAX_MESSAGE} bytes")));
    }
    let text = String::from_utf8(line).map_err(|_| unusable(number, "is not text in UTF-8"))?;
    Ok(Some(text.into()))
}

fn unusable(number: u64, cause: &str) -> String {
    format!("line {number} of the input {cause}; it was not sent, nor what follows it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn read(input: impl Into<Vec<u8>>) -> Vec<Result<String, String>> {
        let mut receiver = lines(Cursor::new(input.into())).unwrap();
        std::iter::from_fn(|| receiver.blocking_recv())
            .map(|line| line.map(|text| text.as_str().to_owned()))
            .collect()
    }

    fn texts(input: &str) -> Vec<String> {
        read(input).into_iter().map(Result::unwrap).collect()
    }

    #[test]
    fn a_line_is_what_stands_before_its_end() {
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
    fn what_is_no_text_is_the_end() {
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
