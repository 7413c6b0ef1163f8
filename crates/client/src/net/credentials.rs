//! User and password out of a URL, for Basic authentication (RFC 7617).

use std::fmt;

use data_encoding::BASE64;

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
    /// What is wrong, without the text itself.
    pub(crate) fn from_userinfo(userinfo: &str) -> Result<Self, String> {
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        let decoded = |text| {
            percent_decoded(text).ok_or_else(|| {
                "a % in its user or password has two hexadecimal digits behind it: write %25 for the sign itself".to_owned()
            })
        };
        let (user, password) = (decoded(user)?, decoded(password)?);
        if user.contains(&b':') {
            return Err("its user has a colon, which Basic authentication cannot send (RFC 7617, section 2)".into());
        }
        Ok(Self { user, password })
    }

    /// The value of the header `Authorization`.
    pub(crate) fn authorization(&self) -> String {
        let pair = [&self.user[..], b":", &self.password].concat();
        format!("Basic {}", BASE64.encode(&pair))
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
            let value = Credentials::from_userinfo(userinfo).unwrap().authorization();
            assert_eq!(value, format!("Basic {}", BASE64.encode(pair.as_bytes())), "{userinfo}");
        }
        // The example of RFC 7617, section 2.
        let example = Credentials::from_userinfo("Aladdin:open sesame").unwrap();
        assert_eq!(example.authorization(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[test]
    fn neither_an_error_nor_debug_output_shows_the_password() {
        for userinfo in ["user:secret%", "user:secret%zz", "a%3Ab:secret"] {
            let error = Credentials::from_userinfo(userinfo).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
        let credentials = Credentials::from_userinfo("user:secret").unwrap();
        assert_eq!(format!("{credentials:?}"), "Credentials(***)");
    }
}
