//! Makes any text safe to print: one line, and no control over the terminal that shows it.
//!
//! The escapes are those of a JSON string (RFC 8259, section 7), so an escaped text between
//! double quotes can be read back by any JSON parser.

use std::fmt::Write as _;

/// Appends `text` for a place between double quotes: control characters, line separators,
/// double quotes and backslashes are escaped.
pub fn quoted(out: &mut Vec<u8>, text: &str) {
    write(out, text, |c| matches!(c, '"' | '\\') || moves_cursor(c));
}

/// `text` for a place without quotes: control characters and line separators are escaped.
#[must_use]
pub fn plain(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    write(&mut out, text, moves_cursor);
    String::from_utf8_lossy(&out).into_owned()
}

/// Control characters (C0, DEL, C1) and the separators U+2028 and U+2029.
fn moves_cursor(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn write(out: &mut Vec<u8>, text: &str, escaped: impl Fn(char) -> bool) {
    if !text.bytes().fold(false, |found, byte| found | MAY_NEED_ESCAPE[usize::from(byte)]) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let mut rest = text;
    while let Some(at) = rest.find(&escaped) {
        let (clean, tail) = rest.split_at(at);
        out.extend_from_slice(clean.as_bytes());
        let mut chars = tail.chars();
        if let Some(c) = chars.next() {
            escape(out, c);
        }
        rest = chars.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
}

/// Whether a byte is, or begins, a character that could need an escape: every such character
/// outside ASCII is encoded with the lead byte C2 (C1 controls) or E2 (the separators).
const MAY_NEED_ESCAPE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = byte < 0x20 || matches!(byte, 0x22 | 0x5c | 0x7f | 0xc2 | 0xe2);
        byte += 1;
    }
    table
};

fn escape(out: &mut Vec<u8>, c: char) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        _ => {
            let mut text = String::with_capacity(6);
            // Writing to a String cannot fail.
            let _ = write!(text, "\\u{:04x}", u32::from(c));
            out.extend_from_slice(text.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn escaped(text: &str) -> String {
        let mut out = Vec::new();
        quoted(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in ["Client-100", "", "日本語 é ✓ “quoted”", "C:/x (1)"] {
            assert_eq!(escaped(text), text);
            assert_eq!(plain(text), text);
        }
    }

    #[test]
    fn each_dangerous_character_is_escaped() {
        assert_eq!(escaped("a\"b\\c"), r#"a\"b\\c"#);
        assert_eq!(escaped("a\nb\rc\td"), r"a\nb\rc\td");
        assert_eq!(escaped("\u{1b}[2J\0\u{7f}"), r"\u001b[2J\u0000\u007f");
        assert_eq!(escaped("\u{85}\u{9b}\u{2028}\u{2029}"), r"\u0085\u009b\u2028\u2029");
    }

    #[test]
    fn plain_text_keeps_quotes() {
        assert_eq!(plain("say \"hi\"\u{7}"), r#"say "hi"\u0007"#);
    }

    proptest! {
        #[test]
        fn nothing_that_moves_a_cursor_is_left(text in any::<String>()) {
            prop_assert!(!escaped(&text).chars().any(moves_cursor));
            prop_assert!(!plain(&text).chars().any(moves_cursor));
        }

        #[test]
        fn a_json_parser_reads_the_text_back(text in any::<String>()) {
            let back: String = serde_json::from_str(&format!("\"{}\"", escaped(&text))).unwrap();
            prop_assert_eq!(back, text);
        }
    }
}
