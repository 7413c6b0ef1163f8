//! The choice of a proxy: that of `--proxy`, or else of the environment, with the rules of curl.

use super::Proxy;
use super::bypass::Bypass;

/// Variables with the proxy for `ws://` and `http://`; the first one that is set wins. `HTTP_PROXY`
/// in capitals is ignored: in a CGI program it holds the header `Proxy` of a request ("httpoxy").
const PLAIN: &[&str] = &["ws_proxy", "WS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY"];

/// Variables with the proxy for `wss://` and `https://`.
const SECURE: &[&str] =
    &["wss_proxy", "WSS_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// Variables with the servers that are reached without a proxy.
const BYPASS: &[&str] = &["no_proxy", "NO_PROXY"];

/// The proxies for all servers.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    plain: Option<Proxy>,
    secure: Option<Proxy>,
    bypass: Bypass,
}

/// The URL schemes that a proxy is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schemes {
    /// `ws://` and `http://`.
    Plain,
    /// `wss://` and `https://`.
    Secure,
    /// All, because redirects may lead to either.
    Any,
}

impl Proxies {
    /// The proxies of `flag`, the value of `--proxy`, or else of the variables for these schemes.
    /// An empty flag means no proxy. `variable` reads a variable; an empty variable counts as
    /// unset.
    ///
    /// # Errors
    /// Which flag or variable is wrong, and its value without user and password.
    pub fn choose(
        flag: Option<&str>,
        schemes: Schemes,
        variable: impl Fn(&str) -> Result<Option<String>, String>,
    ) -> Result<Self, String> {
        let set = |names: &[&'static str]| {
            for name in names {
                if let Some(text) = variable(name)?.filter(|text| !text.is_empty()) {
                    return Ok(Some((*name, text)));
                }
            }
            Ok::<_, String>(None)
        };
        let from = |names| match set(names)? {
            Some((name, text)) => Proxy::parse(&text, name).map(Some),
            None => Ok(None),
        };
        let bypass = set(BYPASS)?.map_or_else(Bypass::default, |(_, list)| Bypass::parse(&list));
        let (plain, secure) = match flag {
            Some("") => (None, None),
            Some(text) => {
                let proxy = Proxy::parse(text, "--proxy")?;
                (Some(proxy.clone()), Some(proxy))
            }
            None => (
                if schemes == Schemes::Secure { None } else { from(PLAIN)? },
                if schemes == Schemes::Plain { None } else { from(SECURE)? },
            ),
        };
        Ok(Self { plain, secure, bypass })
    }

    /// The proxy for connections to `host`.
    pub(crate) fn proxy_for(&self, host: &str, is_secure: bool) -> Option<&Proxy> {
        let proxy = if is_secure { &self.secure } else { &self.plain };
        proxy.as_ref().filter(|_| !self.bypass.has(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(
        flag: Option<&str>,
        schemes: Schemes,
        set: &[(&str, &str)],
    ) -> Result<Proxies, String> {
        let variable = |name: &str| {
            let set = set.iter().find(|(known, _)| *known == name);
            Ok(set.map(|(_, value)| (*value).to_owned()))
        };
        Proxies::choose(flag, schemes, variable)
    }

    /// The ports of the proxies for `ws://` and `wss://`.
    fn ports(flag: Option<&str>, set: &[(&str, &str)]) -> [Option<u16>; 2] {
        let proxies = chosen(flag, Schemes::Any, set).unwrap();
        [false, true].map(|is_secure| proxies.proxy_for("server", is_secure).map(Proxy::port))
    }

    #[test]
    fn each_scheme_has_variables_of_its_own() {
        for (set, expected) in [
            (&[][..], [None, None]),
            (&[("http_proxy", "p:1")], [Some(1), None]),
            (&[("HTTP_PROXY", "p:1")], [None, None]),
            (&[("https_proxy", "p:1"), ("HTTPS_PROXY", "p:2")], [None, Some(1)]),
            (&[("HTTPS_PROXY", "p:2"), ("ALL_PROXY", "p:3")], [Some(3), Some(2)]),
            (&[("ALL_PROXY", "p:3"), ("all_proxy", "p:4")], [Some(4), Some(4)]),
            (&[("ws_proxy", "p:5"), ("http_proxy", "p:1")], [Some(5), None]),
            (&[("WSS_PROXY", "p:6"), ("https_proxy", "p:1")], [None, Some(6)]),
            (&[("https_proxy", ""), ("HTTPS_PROXY", "p:2")], [None, Some(2)]),
            (&[("ALL_PROXY", "p:3"), ("NO_PROXY", "server")], [None, None]),
            (
                &[("ALL_PROXY", "p:3"), ("no_proxy", "x"), ("NO_PROXY", "server")],
                [Some(3), Some(3)],
            ),
        ] {
            assert_eq!(ports(None, set), expected, "{set:?}");
        }
    }

    #[test]
    fn the_flag_wins_and_an_empty_one_means_no_proxy() {
        let set = [("ALL_PROXY", "p:3")];
        assert_eq!(ports(Some("q:9"), &set), [Some(9), Some(9)]);
        assert_eq!(ports(Some(""), &set), [None, None]);
        assert_eq!(ports(Some("q:9"), &[("no_proxy", "server")]), [None, None]);
    }

    #[test]
    fn a_variable_for_another_scheme_may_hold_anything() {
        let set = [("https_proxy", "socks4://user:secret@p"), ("http_proxy", "p:1")];
        assert!(chosen(None, Schemes::Plain, &set).is_ok());
        for schemes in [Schemes::Secure, Schemes::Any] {
            let error = chosen(None, schemes, &set).unwrap_err();
            assert!(error.starts_with("https_proxy is \"socks4://***@p\", but "), "{error}");
        }
        let error = chosen(Some("ftp://p"), Schemes::Plain, &set).unwrap_err();
        assert!(error.starts_with("--proxy is \"ftp://p\", but "), "{error}");
    }
}
