//! Text formatting shared by the modes.

use std::time::Duration;

/// A number with its noun in singular or plural, `1 error` or `2 errors`.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    plural(number, thing, &format!("{thing}s"))
}

/// A number with its noun in the form that fits, `1 reply` or `2 replies`.
pub(crate) fn plural(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A time in seconds with one decimal, `3.4 s`.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// A size in bytes, with its unit.
pub(crate) fn bytes(number: usize) -> String {
    counted(number as u64, "byte")
}

/// `part` of `whole` in percent, with one decimal unless the value is whole.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    let percent = 100.0 * part as f64 / whole.max(1) as f64;
    let text = format!("{percent:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// The usual spelling of a header's name: `sec-websocket-key` as `Sec-WebSocket-Key`.
pub(crate) fn header_name(name: &str) -> String {
    let word = |word: &str| match word {
        "websocket" => "WebSocket".to_owned(),
        "www" => "WWW".to_owned(),
        word => {
            let (first, rest) = word.split_at(word.len().min(1));
            first.to_ascii_uppercase() + rest
        }
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_short() {
        for (part, whole, text) in [
            (0, 0, "0"),
            (0, 9, "0"),
            (9, 9, "100"),
            (1, 3, "33.3"),
            (1, 2, "50"),
            (1, 1000, "0.1"),
        ] {
            assert_eq!(percent(part, whole), text);
        }
    }
}
