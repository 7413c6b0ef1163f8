//! Value parsers that several settings share.

use std::time::Duration;

use tracing_subscriber::filter::LevelFilter;

use crate::events::Filter;

/// Longest time that a setting may hold, in seconds: a year.
const MAX_SECONDS: f64 = 365.0 * 24.0 * 3600.0;

/// Reads a time in seconds, fractions allowed.
///
/// # Errors
/// If the text is anything else; the error says what is allowed.
pub fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .filter(|seconds| (0.0..=MAX_SECONDS).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "allowed is a number of seconds from 0 to a year, such as 2 or 0.5".into())
}

/// Reads a size in bytes, at least one, with an optional `K`, `M` or `G` (of 1024) behind it.
///
/// # Errors
/// If the text is anything else; the error says what is allowed.
pub fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.bytes().last().map(|byte| byte.to_ascii_uppercase()) {
        Some(b'K') => (&text[..text.len() - 1], 1 << 10),
        Some(b'M') => (&text[..text.len() - 1], 1 << 20),
        Some(b'G') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        .filter(|&bytes| bytes > 0)
        .ok_or_else(|| "allowed is a number of bytes from 1, such as 65536, 64K or 10M".into())
}

/// Reads `on` or `off`.
///
/// # Errors
/// If the text is anything else; the error says what is allowed.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "1" => Ok(true),
        "off" | "false" | "0" => Ok(false),
        _ => Err("allowed is on or off (also true, false, 1, 0)".into()),
    }
}

/// Makes a parser of which events are written: a level, or levels by module, separated by commas.
/// The error shows `example`, a filter by module.
pub fn filter(
    example: &'static str,
) -> impl Fn(&str) -> Result<Filter, String> + Clone + Send + Sync + 'static {
    move |text| {
        let allowed = || {
            format!("allowed is error, warn, info, debug, trace or off, also by module: {example}")
        };
        let parts: Vec<_> =
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        if parts.is_empty() || !parts.iter().all(|part| has_level(part)) {
            return Err(allowed());
        }
        parts.join(",").parse().map_err(|_| allowed())
    }
}

/// Whether a part of a filter ends in a level. A [`Filter`] itself would take a misspelt level for
/// the name of a module to show everything of, and an empty level for `error`.
fn has_level(part: &str) -> bool {
    let (_, level) = part.split_once('=').unwrap_or(("", part));
    !level.trim().is_empty() && level.trim().parse::<LevelFilter>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tracing::Level;

    #[test]
    fn seconds_take_fractions_and_nothing_silly() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        for text in ["", "-1", "nan", "inf", "1e300", "two", "1s"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_take_units() {
        assert_eq!(bytes("65536"), Ok(65536));
        assert_eq!(bytes("64k"), Ok(65536));
        assert_eq!(bytes("10M"), Ok(10 << 20));
        assert_eq!(bytes("1G"), Ok(1 << 30));
        for text in ["", "0", "-1", "K", "1.5M", "99999999999G", "1MB", "ü"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn switches_are_on_or_off() {
        for (text, is_on) in
            [("on", true), ("TRUE", true), ("1", true), ("Off", false), ("0", false)]
        {
            assert_eq!(switch(text), Ok(is_on));
        }
        for text in ["", "2", "yes", " on"] {
            assert!(switch(text).is_err(), "{text}");
        }
    }

    #[test]
    fn filters_take_levels_by_module() {
        for text in ["info", "info,", "info ", " INFO , ,", "warn,server=info,other=off"] {
            let filter = filter("")(text).unwrap();
            assert!(filter.would_enable("server", &Level::INFO), "{text:?}");
            assert!(!filter.would_enable("server", &Level::DEBUG), "{text:?}");
        }
        for text in [
            "",
            " ",
            ",",
            "loud",
            "server=",
            "info,server= ",
            "info,wran",
            "info,server=loud",
            "server=info=debug",
        ] {
            let error = filter("info,server=debug")(text).unwrap_err();
            assert!(error.ends_with("also by module: info,server=debug"), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = (seconds(&text), bytes(&text), filter("")(&text));
        }
    }
}
