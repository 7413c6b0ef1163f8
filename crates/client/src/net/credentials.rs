//! User and password, for Basic authentication (RFC 7617) and SOCKS (RFC 1929).

use std::fmt;

use data_encoding::BASE64;
use hyper::header::HeaderValue;

/// User and password. Neither is ever printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: Vec<u8>,
    password: Vec<u8>,
}

impl Credentials {
    /// Reads the `user:password` of a URL, in which bytes may be percent-encoded (RFC 3986,
    /// section 3.2.1).
    ///
    /// # Errors
    /// What is wrong, without showing the text.
    pub(crate) fn from_userinfo(userinfo: &str) -> Result<Self, String> {
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        let decoded = |text| {
            percent_decoded(text).ok_or_else(|| {
                "a % in its user or password has two hexadecimal digits behind it: write %25 for the sign itself".to_owned()
            })
        };
        let (user, password) = (decoded(user)?, decoded(password)?);
        // SOCKS could send a colon, but such users are too rare for a rule of their own.
        if user.contains(&b':') {
            return Err("its user has a colon, which Basic authentication cannot send (RFC 7617, section 2)".into());
        }
        Ok(Self { user, password })
    }

    /// Reads `user:password` without decoding; the first colon separates the two.
    #[must_use]
    pub fn from_pair(pair: &str) -> Option<Self> {
        let (user, password) = pair.split_once(':')?;
        Some(Self { user: user.into(), password: password.into() })
    }

    pub(crate) fn user(&self) -> &[u8] {
        &self.user
    }

    pub(crate) fn password(&self) -> &[u8] {
        &self.password
    }

    /// The value of the header `Authorization` or `Proxy-Authorization`.
    pub(crate) fn to_header(&self) -> HeaderValue {
        let pair = [&self.user[..], b":", &self.password].concat();
        let value = format!("Basic {}", BASE64.encode(&pair));
        // Base64 has no character that a header cannot hold.
        let mut value =
            HeaderValue::try_from(value).unwrap_or_else(|_| HeaderValue::from_static("Basic Og=="));
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digits =
                    [bytes.next()?, bytes.next()?].map(|digit| char::from(digit).to_digit(16));
                let [Some(high), Some(low)] = digits else { return None };
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_sent_as_basic_authentication() {
        for (userinfo, pair) in [
            ("Aladdin:open%20sesame", "Aladdin:open sesame"),
            ("user", "user:"),
            ("user:a:b", "user:a:b"),
            ("u%40x:%C3%A4ä", "u@x:ää"),
        ] {
            let value = Credentials::from_userinfo(userinfo).unwrap().to_header();
            assert_eq!(value, format!("Basic {}", BASE64.encode(pair.as_bytes())), "{userinfo}");
        }
        let pair = Credentials::from_pair("user%40:a:b").unwrap();
        assert_eq!(pair, Credentials::from_userinfo("user%2540:a:b").unwrap());
        assert_eq!(Credentials::from_pair("user"), None);
        // The example of RFC 7617, section 2.
        let example = Credentials::from_userinfo("Aladdin:open sesame").unwrap();
        assert_eq!(example.to_header(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[test]
    fn neither_an_error_nor_debug_output_shows_the_password() {
        for userinfo in ["user:secret%", "user:secret%zz", "a%3Ab:secret"] {
            let error = Credentials::from_userinfo(userinfo).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
        let credentials = Credentials::from_userinfo("user:secret").unwrap();
        assert_eq!(format!("{credentials:?}"), "Credentials(***)");
        assert_eq!(format!("{:?}", credentials.to_header()), "Sensitive");
    }
}
