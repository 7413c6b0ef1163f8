//! What names the instance that answered: the hello of `/probe`, a header, a cookie, a message.

use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;
use std::str::FromStr;

use hyper::HeaderMap;
use hyper::header::{AGE, HeaderName, SET_COOKIE};

use super::pattern::Pattern;

/// The name of an instance.
pub(crate) type Instance = Rc<str>;

/// Longest name of an instance, in characters. Longer names are cut.
const LONGEST: usize = 128;

/// Fewest answers in which to look for a value that names the instance.
const FEWEST: usize = 8;

/// Parts of header names whose values name an instance.
const NAMING: [&str; 12] = [
    "backend",
    "container",
    "hostname",
    "instance",
    "origin-server",
    "served-by",
    "server-id",
    "server-name",
    "upstream",
    "x-node",
    "x-pod",
    "x-server",
];

/// Parts of header names whose values differ for other reasons.
const UNRELATED: [&str; 7] =
    ["cookie", "date", "expires", "limit", "request", "sec-websocket", "time"];

/// The part of an answer that names the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameSource {
    /// The hello of `/probe`.
    Hello,
    /// `[HOSTNAME] hello :)`, the first message of `/ws`.
    Greeting,
    /// A header of the answer to the upgrade.
    Header(HeaderName),
    /// A cookie that the answer to the upgrade sets.
    Cookie(String),
    /// A part of the first message.
    Message(Pattern),
}

impl NameSource {
    /// Whether the first message of the server contains the name.
    pub(crate) fn is_message(&self) -> bool {
        matches!(self, Self::Greeting | Self::Message(_))
    }

    /// As part of a sentence, `the header x-served-by`.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Hello => "the hello of /probe".into(),
            Self::Greeting => "the greeting of /ws".into(),
            Self::Header(name) => format!("the header {name}"),
            Self::Cookie(name) => format!("the cookie {name}"),
            Self::Message(_) => "the first message".into(),
        }
    }
}

impl FromStr for NameSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("header", name)) => name
                .parse()
                .map(Self::Header)
                .map_err(|_| format!("\"{name}\" cannot be the name of a header")),
            Some(("cookie", name)) if !name.is_empty() => Ok(Self::Cookie(name.into())),
            Some(("message", pattern)) => pattern.parse().map(Self::Message),
            _ => Err("allowed is header:NAME, cookie:NAME or message:PATTERN, such as header:X-Served-By or message:[*]".into()),
        }
    }
}

impl fmt::Display for NameSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hello => f.write_str("hello"),
            Self::Greeting => f.write_str("greeting"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Message(pattern) => write!(f, "message:{pattern}"),
        }
    }
}

/// The parts of an answer that may name the instance.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// The instance in the hello of `/probe`.
    pub(crate) hello: Option<String>,
    /// The headers of the answer to the upgrade.
    pub(crate) headers: HeaderMap,
    /// The first message.
    pub(crate) message: Option<String>,
}

impl Evidence {
    /// The name of the instance.
    pub(crate) fn instance(&self, by: &NameSource) -> Option<Instance> {
        let name = match by {
            NameSource::Hello => self.hello.clone(),
            NameSource::Greeting => greeting(self.message.as_deref()?).map(Into::into),
            NameSource::Header(name) => self.header(name),
            NameSource::Cookie(name) => {
                self.cookies().find(|cookie| cookie.0 == *name).map(|(_, value)| value.into())
            }
            NameSource::Message(pattern) => pattern.find(self.message.as_deref()?).map(Into::into),
        };
        name.map(|name| name.chars().take(LONGEST).collect::<String>().into())
    }

    fn header(&self, name: &HeaderName) -> Option<String> {
        let value = self.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// Names and values of the cookies that the answer sets.
    pub(crate) fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.headers.get_all(SET_COOKIE).iter();
        lines.filter_map(|line| line.to_str().ok()?.split(';').next()?.trim().split_once('='))
    }
}

/// The host in the greeting of `/ws`.
fn greeting(message: &str) -> Option<&str> {
    let (host, rest) = message.strip_prefix('[')?.split_once(']')?;
    rest.starts_with(" hello :)").then_some(host)
}

/// What names the instance, as far as a single answer shows.
pub(crate) fn certain(evidence: &Evidence) -> Option<NameSource> {
    if evidence.hello.is_some() {
        return Some(NameSource::Hello);
    }
    if evidence.message.as_deref().and_then(greeting).is_some() {
        return Some(NameSource::Greeting);
    }
    evidence.headers.keys().find(|name| names_instance(name)).cloned().map(NameSource::Header)
}

/// What names the instance in these answers: the hello, the greeting, or a header, a cookie or a first
/// message that takes a few values again and again.
pub(crate) fn choose(answers: &[Evidence]) -> Option<NameSource> {
    let first = answers.first()?;
    let message = NameSource::Message(Pattern::whole());
    let certain = certain(first);
    if let Some(NameSource::Hello | NameSource::Greeting) = certain {
        return certain;
    }
    let headers = || first.headers.keys().filter(|name| !is_unrelated(name)).cloned();
    let (naming, others): (Vec<_>, Vec<_>) = headers().partition(names_instance);
    let cookies = first.cookies().map(|(name, _)| NameSource::Cookie(name.into()));
    let candidates = naming.into_iter().chain(others).map(NameSource::Header).chain(cookies);
    candidates.chain([message]).find(|by| takes_few_values(answers, by)).or(certain)
}

fn names_instance(name: &HeaderName) -> bool {
    !is_unrelated(name) && NAMING.iter().any(|part| name.as_str().contains(part))
}

fn is_unrelated(name: &HeaderName) -> bool {
    name == AGE || UNRELATED.iter().any(|part| name.as_str().contains(part))
}

/// Whether each answer has a value, and there are several values, but far fewer than answers: a value
/// that is different in most answers identifies the visitor.
fn takes_few_values(answers: &[Evidence], by: &NameSource) -> bool {
    let values: Option<BTreeSet<_>> = answers.iter().map(|answer| answer.instance(by)).collect();
    let Some(values) = values else { return false };
    answers.len() >= FEWEST && (2..=answers.len() / 4).contains(&values.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn answer(headers: &[(&'static str, String)], message: &str) -> Evidence {
        let pairs = headers.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::try_from(value).unwrap())
        });
        let mut headers = HeaderMap::new();
        pairs.for_each(|(name, value)| _ = headers.append(name, value));
        let message = Some(message.to_owned()).filter(|message| !message.is_empty());
        Evidence { hello: None, headers, message }
    }

    /// The choice for twenty answers; `make` maps the number of an answer to the answer.
    fn chosen(make: impl Fn(usize) -> Evidence) -> Option<String> {
        let answers: Vec<_> = (0..20).map(make).collect();
        choose(&answers).map(|by| by.to_string())
    }

    #[test]
    fn the_value_that_names_an_instance_is_found() {
        let text = |name: &str| Some(name.to_owned());
        let nginx = |_| ("server", "nginx".to_owned());
        assert_eq!(chosen(|_| Evidence { hello: text("a"), ..answer(&[], "x") }), text("hello"));
        assert_eq!(chosen(|_| answer(&[], "[web-1] hello :) type")), text("greeting"));
        let two = |number: usize| format!("web-{}", number % 2);
        assert_eq!(
            chosen(|number| answer(&[nginx(number), ("x-served-by", two(number))], "")),
            text("header:x-served-by")
        );
        // One server, named by a header of that purpose.
        assert_eq!(
            chosen(|number| answer(&[nginx(number), ("x-backend", "web-1".into())], "")),
            text("header:x-backend")
        );
        assert_eq!(
            chosen(|number| answer(&[nginx(number), ("x-colour", two(number))], "")),
            text("header:x-colour")
        );
        assert_eq!(
            chosen(|number| answer(&[("set-cookie", format!("SRV={}; Path=/", two(number)))], "")),
            text("cookie:SRV")
        );
        assert_eq!(chosen(|number| answer(&[], &two(number))), text("message:*"));
    }

    #[test]
    fn values_that_differ_for_other_reasons_name_no_instance() {
        let two = |number: usize| format!("web-{}", number % 2);
        assert_eq!(chosen(|_| answer(&[("server", "nginx".into())], "welcome")), None);
        // A number of each visitor, in a header, a cookie and a message.
        assert_eq!(chosen(|number| answer(&[("x-number", number.to_string())], "")), None);
        assert_eq!(chosen(|number| answer(&[("set-cookie", format!("sid={number}"))], "")), None);
        assert_eq!(chosen(|number| answer(&[], &format!("you are {number}"))), None);
        // Headers with times and limits.
        for name in ["date", "x-upstream-response-time", "x-ratelimit-remaining", "x-request-id"] {
            assert_eq!(chosen(|number| answer(&[(name, two(number))], "")), None, "{name}");
        }
        // Headers that some answers lack.
        let seldom = |number| if number == 3 { vec![] } else { vec![("x-colour", two(number))] };
        assert_eq!(chosen(|number| answer(&seldom(number), "")), None);
        assert_eq!(choose(&[]), None);
    }

    #[test]
    fn a_choice_is_read_as_it_is_written() {
        for text in ["header:x-served-by", "cookie:SRV", "message:[*]", "message:a:*"] {
            assert_eq!(text.parse::<NameSource>().unwrap().to_string(), text);
        }
        assert_eq!(
            "header:X-Served-By".parse::<NameSource>().unwrap().to_string(),
            "header:x-served-by"
        );
        for wrong in
            ["", "header", "header:", "header:a b", "cookie:", "message:x", "hello", "ip:x"]
        {
            assert!(wrong.parse::<NameSource>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn instances_are_named() {
        let evidence = answer(
            &[
                ("x-served-by", "web-1".into()),
                ("set-cookie", "a=1; Path=/".into()),
                ("set-cookie", "SRV=s=2".into()),
            ],
            "[web-2] hello :) type a message",
        );
        for (by, name) in [
            (NameSource::Hello, None),
            (NameSource::Greeting, Some("web-2")),
            ("header:X-Served-By".parse().unwrap(), Some("web-1")),
            ("header:X-Other".parse().unwrap(), None),
            ("cookie:SRV".parse().unwrap(), Some("s=2")),
            ("cookie:srv".parse().unwrap(), None),
            ("message:hello *)".parse().unwrap(), Some(":")),
        ] {
            assert_eq!(evidence.instance(&by).as_deref(), name, "{by}");
        }
        let long = answer(&[("x-served-by", "x".repeat(10_000))], "");
        let name = long.instance(&"header:x-served-by".parse().unwrap()).unwrap();
        assert_eq!(name.len(), LONGEST);
    }
}
