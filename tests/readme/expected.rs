//! Compares the output of a command with the README.

/// Stands for anything: within a line for a part of it, alone for any number of lines.
const ANYTHING: &str = "...";

/// Whether a command printed what it should.
pub(crate) fn is_as_expected(expected: &[String], printed: &[&str]) -> bool {
    match (expected, printed) {
        ([], []) => true,
        ([first, rest @ ..], _) if first == ANYTHING => {
            (0..=printed.len()).any(|skipped| is_as_expected(rest, &printed[skipped..]))
        }
        ([first, expected @ ..], [line, printed @ ..]) => {
            is_same_line(first, line) && is_as_expected(expected, printed)
        }
        _ => false,
    }
}

fn is_same_line(expected: &str, line: &str) -> bool {
    let line = without_numbers(line.trim_end());
    let parts: Vec<_> = expected.split(ANYTHING).map(without_numbers).collect();
    let [first, .., last] = &parts[..] else { return line == parts[0] };
    if line.len() < first.len() + last.len() || !line.starts_with(first) || !line.ends_with(last) {
        return false;
    }
    let mut rest = &line[first.len()..line.len() - last.len()];
    parts[1..parts.len() - 1].iter().all(|part| match rest.split_once(part.as_str()) {
        Some((_, behind)) => {
            rest = behind;
            true
        }
        None => false,
    })
}

/// The text with `#` in place of each number.
fn without_numbers(text: &str) -> String {
    let mut result = String::new();
    for c in text.chars() {
        let is_digit = c.is_ascii_digit();
        if !(is_digit && result.ends_with('#')) {
            result.push(if is_digit { '#' } else { c });
        }
    }
    result
}

#[test]
fn numbers_may_differ_and_nothing_else() {
    let is_same = |expected: &str, line| is_as_expected(&[expected.into()], &[line]);
    assert!(is_same("1 sent, 0.2 ms", "123 sent, 10.25 ms"));
    assert!(is_same("INFO listening on ...", "INFO listening on ws://x, log y"));
    assert!(is_same("[...] hello", "[9d0c7f2b1a34] hello"));
    assert!(!is_same("[...] hello", "[9d0c7f2b1a34] bye"));
    assert!(!is_same("Pong!", "Pong"));
    assert!(!is_same("a...a", "a"));
}

#[test]
fn dots_alone_stand_for_any_number_of_lines() {
    let expected = ["first", "...", "last"].map(String::from);
    for printed in [&["first", "last"][..], &["first", "a", "b", "last"]] {
        assert!(is_as_expected(&expected, printed), "{printed:?}");
    }
    for printed in [&["first"][..], &["first", "last", "more"], &[]] {
        assert!(!is_as_expected(&expected, printed), "{printed:?}");
    }
}
