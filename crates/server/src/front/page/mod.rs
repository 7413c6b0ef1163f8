//! The page that a browser gets at `/`: one file, which asks for nothing else.

use std::sync::LazyLock;

use data_encoding::BASE64;
use sha2::{Digest, Sha256};

const HTML: &str = include_str!("page.html");
const STYLE: Part = Part { placeholder: "/* page.css */", text: include_str!("page.css") };
const SCRIPT: Part = Part {
    placeholder: "/* script */",
    text: concat!(
        include_str!("script/elements.js"),
        include_str!("script/words.js"),
        include_str!("script/endings.js"),
        include_str!("script/log.js"),
        include_str!("script/form.js"),
        include_str!("script/talk.js"),
        include_str!("script/link.js"),
        include_str!("script/ping.js"),
        include_str!("script/charts.js"),
        include_str!("script/state.js"),
        include_str!("script/hello.js"),
        include_str!("script/idle.js"),
        include_str!("script/main.js"),
    ),
};

/// The page and what a browser may do with it.
#[derive(Debug)]
pub struct Page {
    /// The HTML, with style and script in it.
    pub body: &'static str,
    /// The value of its `Content-Security-Policy`.
    pub csp: &'static str,
}

/// Style or script, which replaces its placeholder in the HTML.
struct Part {
    placeholder: &'static str,
    text: &'static str,
}

impl Part {
    /// The source expression of the policy that allows just this text.
    fn source(&self) -> String {
        format!("'sha256-{}'", BASE64.encode(&Sha256::digest(self.text)))
    }
}

/// The page of this server.
pub fn page() -> &'static Page {
    static PAGE: LazyLock<Page> =
        LazyLock::new(|| Page { body: body().leak(), csp: policy().leak() });
    &PAGE
}

fn body() -> String {
    [STYLE, SCRIPT].iter().fold(HTML.into(), |html, part| html.replace(part.placeholder, part.text))
}

/// The `Content-Security-Policy`. The page may connect to any WebSocket server, as its user chooses
/// one. Everything else from outside is refused, even if markup in a message got into the page.
fn policy() -> String {
    let (style, script) = (STYLE.source(), SCRIPT.source());
    [
        "default-src 'none'",
        &format!("style-src {style}"),
        &format!("script-src {script}"),
        "connect-src 'self' ws: wss:",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text between the only `open` of the page and the `close` after it.
    #[track_caller]
    fn between(open: &str, close: &str) -> &'static str {
        let (_, rest) = page().body.split_once(open).expect(open);
        assert!(!rest.contains(open), "{open} stands there twice");
        rest.split_once(close).expect(close).0
    }

    #[test]
    fn the_policy_allows_just_the_style_and_the_script_that_are_in_the_page() {
        let style = between("<style>", "</style>");
        let script = between("<script type=\"module\">", "</script>");
        assert_eq!((style, script), (STYLE.text, SCRIPT.text));
        for (directive, text) in [("style-src", style), ("script-src", script)] {
            let source = Part { placeholder: "", text }.source();
            let allowed = format!("; {directive} {source};");
            assert!(page().csp.contains(&allowed), "{allowed} in {}", page().csp);
        }
        assert!(!page().csp.contains("unsafe"), "{}", page().csp);
    }

    #[test]
    fn a_hash_is_what_the_specification_computes() {
        // The example of CSP Level 3, section 7.3: `echo -n 'doSomething();' | openssl ...`.
        let part = Part { placeholder: "", text: "doSomething();" };
        assert_eq!(part.source(), "'sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc='");
    }

    #[test]
    fn no_placeholder_is_left() {
        for part in [STYLE, SCRIPT] {
            assert_eq!(HTML.matches(part.placeholder).count(), 1, "{}", part.placeholder);
            assert!(!page().body.contains(part.placeholder), "{}", part.placeholder);
        }
    }

    #[test]
    fn nothing_refers_to_the_outside() {
        // Allowed: the name of a namespace, and a link to the server that the user has chosen.
        let body = ["http://www.w3.org/2000/svg", "https://${url.host}/"]
            .iter()
            .fold(page().body.to_owned(), |body, inner| body.replacen(inner, "", 1));
        for outside in ["http://", "https://", "@import", " src=", "import("] {
            assert!(!body.contains(outside), "{outside}");
        }
        assert!(!STYLE.text.contains("url("));
        let links: Vec<_> = body.split("href=\"").skip(1).collect();
        assert_eq!(links.len(), 1);
        assert!(links[0].starts_with("data:image/svg+xml,"), "{}", links[0]);
    }

    #[test]
    fn nothing_becomes_markup() {
        for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!SCRIPT.text.contains(way), "{way}");
        }
    }
}
