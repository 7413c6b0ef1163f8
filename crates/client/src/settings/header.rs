//! `--header`: `NAME: VALUE`, `NAME;` for an empty value, or `@FILE` with one a line. A value may
//! be a secret, so no error shows it.

use std::fs::File;
use std::io::Read;

use hyper::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING, UPGRADE,
};

/// Headers that the client sets itself, and those that announce a body.
const OWN: [HeaderName; 8] = [
    CONNECTION,
    CONTENT_LENGTH,
    SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Most bytes of a file of headers.
const MAX_FILE: u64 = 64 * 1024;

/// The headers of all `--header` options.
///
/// # Errors
/// What is wrong with the first invalid header, and what is allowed.
pub(super) fn parse_all(given: &[String]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for text in given {
        let lines = match text.strip_prefix('@') {
            Some(path) => lines(path)?,
            None => vec![text.clone()],
        };
        for line in lines {
            let (name, value) = parse(&line)?;
            headers.append(name, value);
        }
    }
    Ok(headers)
}

/// The header lines of a file. Empty lines and lines that begin with `#` are skipped.
fn lines(path: &str) -> Result<Vec<String>, String> {
    let fault = |cause: String| {
        format!(
            "--header is \"@{}\", but that file cannot be read: {cause}",
            proto::escape::plain(path)
        )
    };
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text))
        .map_err(|error| fault(error.to_string()))?;
    if text.len() as u64 > MAX_FILE {
        return Err(fault(format!("it has more than {MAX_FILE} bytes")));
    }
    let is_header = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
    Ok(text.lines().filter(is_header).map(str::to_owned).collect())
}

fn parse(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let split = text.split_once(':').or_else(|| Some((text.strip_suffix(';')?, "")));
    let (name, value) = split.ok_or_else(|| {
        "--header has no colon in it: write NAME: VALUE, NAME; for an empty value, or @FILE"
            .to_owned()
    })?;
    let name = HeaderName::try_from(name).map_err(|_| {
        "--header has a name that is not allowed: it consists of letters, digits and !#$%&'*+-.^_`|~, right before the colon".to_owned()
    })?;
    if name == SEC_WEBSOCKET_PROTOCOL {
        return Err(format!("--header cannot set {name}: use --subprotocol"));
    }
    if OWN.contains(&name) {
        return Err(format!("--header cannot set {name}: the handshake has its own"));
    }
    let mut value = HeaderValue::from_str(value.trim_matches([' ', '\t'])).map_err(|_| {
        format!("--header has a value for {name} that is not allowed: it is one line, without control characters (no CR, no LF)")
    })?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(given: &[&str]) -> Result<Vec<(String, Vec<u8>)>, String> {
        let given: Vec<_> = given.iter().map(ToString::to_string).collect();
        let headers = parse_all(&given)?;
        let pair = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.to_string(), value.as_bytes().to_vec())
        };
        Ok(headers.iter().map(pair).collect())
    }

    fn pair(name: &str, value: &str) -> (String, Vec<u8>) {
        (name.into(), value.into())
    }

    #[test]
    fn headers_are_read_as_curl_does() {
        assert_eq!(
            parsed(&["X-Api-Key: a:b", "X-Empty;", "x-api-key:\tc ", "X-Ä: ä"]).unwrap_err(),
            "--header has a name that is not allowed: it consists of letters, digits and !#$%&'*+-.^_`|~, right before the colon"
        );
        assert_eq!(
            parsed(&["X-Api-Key: a:b", "X-Empty;", "x-api-key:\tä "]),
            Ok(vec![pair("x-api-key", "a:b"), pair("x-api-key", "ä"), pair("x-empty", "")])
        );
    }

    #[test]
    fn a_file_has_a_header_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("headers");
        std::fs::write(&path, "# secrets\r\nAuthorization: Bearer x\r\n\nX-Y: z\n").unwrap();
        let given = format!("@{}", path.display());
        let expected = vec![pair("authorization", "Bearer x"), pair("x-y", "z")];
        assert_eq!(parsed(&[&given]), Ok(expected));
        std::fs::write(&path, "x".repeat(70_000)).unwrap();
        assert!(parsed(&[&given]).unwrap_err().ends_with("it has more than 65536 bytes"));
        assert!(parsed(&["@/dev/zero"]).unwrap_err().ends_with("it has more than 65536 bytes"));
        let error = parsed(&["@/none/such"]).unwrap_err();
        assert!(error.starts_with("--header is \"@/none/such\", but that file cannot be read: "));
    }

    #[test]
    fn no_error_shows_the_value_and_no_header_becomes_two() {
        for (text, expected) in [
            ("secret", "--header has no colon in it"),
            ("X-Y: secret\r\nX-Z: 1", "--header has a value for x-y that is not allowed"),
            ("X-Y: secret\n", "--header has a value for x-y that is not allowed"),
            ("X-Y: secret\0", "--header has a value for x-y that is not allowed"),
            ("X\r\nY: secret", "--header has a name that is not allowed"),
            ("X-Y : secret", "--header has a name that is not allowed"),
            (": secret", "--header has a name that is not allowed"),
            ("connection: secret", "--header cannot set connection: the handshake has its own"),
            ("Sec-WebSocket-Protocol: secret", "--header cannot set sec-websocket-protocol: use"),
        ] {
            let error = parsed(&[text]).unwrap_err();
            assert!(error.starts_with(expected) && !error.contains("secret"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_or_breaks_a_line(text in any::<String>()) {
            if let Ok((_, value)) = parse(&text) {
                prop_assert!(!value.as_bytes().contains(&b'\n') && !value.as_bytes().contains(&b'\r'));
            }
        }
    }
}
