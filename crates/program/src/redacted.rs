//! Values that may hold a password, for messages about them.

/// A text as it was given, with `***` in place of the user and the password of a URL.
#[must_use]
pub fn redacted(text: &str) -> String {
    // The last @ counts: a password that is not percent-encoded may hold further ones.
    let Some((before, host)) = text.rsplit_once('@') else { return text.to_owned() };
    match before.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://***@{host}"),
        None => format!("***@{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn user_and_password_are_left_out_however_they_are_written() {
        for (text, shown) in [
            ("ws://host:8765/path", "ws://host:8765/path"),
            ("ws://user:secret@host:1/x", "ws://***@host:1/x"),
            ("ws://u:12/3@h", "ws://***@h"),
            ("ws://user:se@cr?et@host", "ws://***@host"),
            ("user:secret@host", "***@host"),
            ("ws:user:secret@host", "***@host"),
            ("", ""),
        ] {
            assert_eq!(redacted(text), shown, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_before_the_last_at_is_shown_but_the_scheme(password in "[s0-9/?#@:%]{1,20}") {
            let shown = redacted(&format!("ws://u:{password}@host"));
            prop_assert_eq!(shown, "ws://***@host");
        }
    }
}
