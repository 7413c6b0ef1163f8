//! Escapes text for the log and the terminal. An escaped text is one line, controls no terminal,
//! and shows every character in its order.
//!
//! Escaped are control characters, the separators of lines and paragraphs, and the characters of
//! Unicode that are invisible or change the direction of text: zero-width characters,
//! bidirectional controls, tags, fillers, soft hyphens, the blank of Braille. Variation selectors
//! and joiners are among them, so that two names that look the same are the same; an emoji that is
//! composed with joiners is therefore shown in its parts.
//!
//! The escapes are those of a JSON string (RFC 8259, section 7), so an escaped text between
//! double quotes can be read back by any JSON parser.

use std::io::Write as _;

/// Appends `text` for use between double quotes: quotes and backslashes are escaped as well.
pub fn quoted(out: &mut Vec<u8>, text: &str) {
    write(out, text, |c| matches!(c, '"' | '\\') || is_unsafe(c));
}

/// Escapes `text` for use without quotes: quotes and backslashes stay as they are.
#[must_use]
pub fn plain(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    write(&mut out, text, is_unsafe);
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether a character is a control, is invisible or changes the direction of text: the general
/// categories Cc, Zl, Zp and Cf without the visible ones of Cf (`Prepended_Concatenation_Mark`),
/// and the property `Default_Ignorable_Code_Point`; and U+2800, a Braille pattern without dots,
/// which looks like a space and is none.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Appends `text`, with an escape for each character that is `escaped`. Most texts need none:
/// one pass over the bytes finds that out without decoding characters.
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

/// Whether a byte is, or begins in UTF-8, a character that may have to be escaped: quotes,
/// backslashes, and the lead bytes of the characters of [`is_unsafe`].
const MAY_NEED_ESCAPE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = byte < 0x20
            || matches!(byte, 0x22 | 0x5c | 0x7f)
            || matches!(byte, 0xc2 | 0xcd | 0xd8 | 0xe1..=0xe3 | 0xef | 0xf0 | 0xf3);
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
        // JSON escapes UTF-16 code units: a surrogate pair for a character above U+FFFF.
        _ => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a Vec cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
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
        for text in ["Client-100", "", "日本語 é ✓ “quoted” ", "C:/x (1)", "שלום مرحبا 😀 한국어"]
        {
            assert_eq!(escaped(text), text);
            assert_eq!(plain(text), text);
        }
    }

    #[test]
    fn dangerous_and_invisible_characters_are_escaped() {
        for (text, expected) in [
            ("a\"b\\c", r#"a\"b\\c"#),
            ("a\nb\rc\td", r"a\nb\rc\td"),
            ("\u{1b}[2J\0\u{7f}", r"\u001b[2J\u0000\u007f"),
            ("\u{85}\u{9b}\u{2028}\u{2029}", r"\u0085\u009b\u2028\u2029"),
            ("a\u{202e}b\u{2066}c\u{200b}d", r"a\u202eb\u2066c\u200bd"),
            ("\u{feff}x\u{ad}\u{fe0f}\u{3164}", r"\ufeffx\u00ad\ufe0f\u3164"),
            ("a\u{2800}b\u{2801}", "a\\u2800b\u{2801}"),
            ("A\u{e0041}B\u{1d173}", r"A\udb40\udc41B\ud834\udd73"),
        ] {
            assert_eq!(escaped(text), expected);
        }
        assert_eq!(plain("say \"hi\"\u{7}"), r#"say "hi"\u0007"#);
    }

    #[test]
    fn escaped_are_the_invisible_and_control_characters_of_unicode() {
        let unsafe_ones = r"[\u{2800}\p{Cc}\p{Zl}\p{Zp}\p{Cf}\p{Default_Ignorable_Code_Point}--\p{Prepended_Concatenation_Mark}]";
        let unsafe_ones = regex::Regex::new(unsafe_ones).unwrap();
        for c in '\0'..=char::MAX {
            let text = c.to_string();
            assert_eq!(is_unsafe(c), unsafe_ones.is_match(&text), "{:04x}", u32::from(c));
            let is_escaped = is_unsafe(c) || matches!(c, '"' | '\\');
            assert_eq!(escaped(&text) != text, is_escaped, "{:04x}", u32::from(c));
        }
    }

    /// Any text, with unsafe characters more often than by chance.
    fn unsafe_text() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[a-z\"\\\\\u{0}-\u{20}\u{7f}-\u{ad}\u{2000}-\u{206f}\u{fe00}-\u{feff}\u{e0000}-\u{e01ef}]*",
        ]
    }

    proptest! {
        #[test]
        fn nothing_unsafe_is_left(text in unsafe_text()) {
            prop_assert!(!escaped(&text).chars().any(is_unsafe));
            prop_assert!(!plain(&text).chars().any(is_unsafe));
        }

        #[test]
        fn a_json_parser_reads_the_text_back(text in unsafe_text()) {
            let back: String = serde_json::from_str(&format!("\"{}\"", escaped(&text))).unwrap();
            prop_assert_eq!(back, text);
        }
    }
}
