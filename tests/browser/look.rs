//! How the page looks and feels: sizes, colours, keyboard, screen reader.

use serde_json::{Value, json};

use crate::browser::{Browser, DESKTOP, PHONE, Size};
use crate::support::TestServer;

/// Everything that can be operated.
const CONTROLS: &str = "button, input, select, a, [tabindex]";

/// A page with all that it can show: a long log, ping mode, clients with long names.
fn busy(server: &TestServer, size: Size) -> Browser {
    let mut browser = Browser::start();
    browser.resize(size);
    browser.open(&format!("http://{}/?path=/echo", server.address()));
    let mut client = server.connect();
    client.ping(&"LongName".repeat(20), "Ping!");
    browser.choose("#scheme", "wss");
    browser.click("#connect");
    browser.wait_for_entry("error", "does not trust");
    browser.choose("#scheme", "ws");
    browser.click("#connect");
    browser.wait_for_text("#talk-state", "Connected");
    browser.send(&"long".repeat(300));
    browser.wait_for_entry("received", "[RE]: long");
    browser.fill("#idle-most", "1");
    browser.press_enter();
    browser.wait_for_text("#idle-verdict", "Nothing cuts");
    browser.fill("#ping-interval", "0.05");
    browser.press_enter();
    browser.wait_for_replies(20);
    browser.wait_for("document.getElementById('clients').rows.length === 2");
    browser
}

#[test]
#[ignore = "needs Chromium"]
fn nothing_is_wider_than_the_window() {
    let server = TestServer::start();
    for (size, name) in [(DESKTOP, "desktop"), (PHONE, "phone")] {
        let mut browser = busy(&server, size);
        for width in [size.width, 320, 560, 768, 1024] {
            browser.resize(Size { width, ..size });
            let widths = browser.eval(
                "[document.documentElement.scrollWidth,
                  ...['.card', 'input', 'button', 'table', 'canvas'].flatMap((selector) =>
                      [...document.querySelectorAll(selector)].map((element) => element.getBoundingClientRect().right))]",
            );
            let widest =
                widths.as_array().unwrap().iter().filter_map(Value::as_f64).fold(0.0, f64::max);
            assert!(widest <= f64::from(width), "{name}: {widest} in {width}");
        }
        browser.resize(size);
        browser.picture(name);
        browser.prefer("prefers-color-scheme", "dark");
        browser.picture(&format!("{name}-dark"));
    }
}

#[test]
#[ignore = "needs Chromium"]
fn a_phone_shows_the_chart_before_the_log_and_the_newest_event_below_the_message() {
    let server = TestServer::start();
    let mut browser = busy(&server, PHONE);
    let tops = browser.eval(
        "['connect', 'message', 'newest', 'ping-chart', 'log', 'server']
            .map((id) => document.getElementById(id).getBoundingClientRect().top)",
    );
    let tops: Vec<f64> = serde_json::from_value(tops).unwrap();
    assert!(tops.is_sorted(), "{tops:?}");
    browser.wait_for_text("#newest", "connected  ping mode: connected");
    // On a wide window the log itself is in sight.
    browser.resize(DESKTOP);
    assert_eq!(browser.eval("document.getElementById('newest').checkVisibility()"), false);
}

#[test]
#[ignore = "needs Chromium"]
fn a_finger_hits_every_control_of_a_phone() {
    let server = TestServer::start();
    let mut browser = busy(&server, PHONE);
    let sizes = browser.eval(&format!(
        "[...document.querySelectorAll('{CONTROLS}')].filter((control) => control.checkVisibility()).map((control) => {{
            const {{ width, height }} = control.getBoundingClientRect();
            return [control.id || control.href, width, height];
        }})"
    ));
    let sizes: Vec<(String, f64, f64)> = serde_json::from_value(sizes).unwrap();
    assert!(sizes.len() > 10, "{sizes:?}");
    for (control, width, height) in sizes {
        assert!(width >= 40.0 && height >= 40.0, "{control}: {width} x {height}");
    }
}

/// The contrast of every text to what is behind it (WCAG 2.2, 1.4.3), with the text, lowest first.
fn contrasts(browser: &mut Browser) -> Vec<(f64, String)> {
    let found = browser.eval(
        "(() => {
            const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
            const light = (part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
            const luminance = ([r, g, b]) => 0.2126 * light(r / 255) + 0.7152 * light(g / 255) + 0.0722 * light(b / 255);
            const behind = (element) => {
                const colour = parts(getComputedStyle(element).backgroundColor);
                return colour[3] === 0 ? behind(element.parentElement) : colour;
            };
            const isText = (node) => node.nodeType === 3 && node.data.trim() && node.parentElement.checkVisibility();
            const found = [];
            const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            while (walk.nextNode()) {
                const { currentNode: node } = walk;
                const element = node.parentElement;
                if (!isText(node) || element.closest('script, noscript, datalist, :disabled')) continue;
                const [a, b] = [parts(getComputedStyle(element).color), behind(element)].map(luminance);
                found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), node.data]);
            }
            return found.sort(([a], [b]) => a - b);
        })()",
    );
    serde_json::from_value(found).unwrap()
}

#[test]
#[ignore = "needs Chromium"]
fn texts_stand_out_in_light_and_dark() {
    let server = TestServer::start();
    let mut browser = busy(&server, DESKTOP);
    let ground = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)
        .reduce((sum, part) => sum + part, 0) / 3";
    for (scheme, is_dark) in [("light", false), ("dark", true)] {
        browser.prefer("prefers-color-scheme", scheme);
        browser.wait_for("!document.getAnimations().some((one) => one instanceof CSSTransition)");
        let brightness = browser.eval(ground).as_f64().unwrap();
        assert!(if is_dark { brightness < 48.0 } else { brightness > 208.0 }, "{brightness}");
        let contrasts = contrasts(&mut browser);
        assert!(contrasts.len() > 30, "{contrasts:?}");
        assert!(contrasts[0].0 >= 4.5, "{scheme}: {:?}", &contrasts[..5]);
    }
}

#[test]
#[ignore = "needs Chromium"]
fn nothing_moves_for_those_who_do_not_like_it() {
    let (_server, mut browser) = Browser::with_server();
    browser.eval("document.getElementById('talk-state').dataset.state = 'wait'");
    let turning =
        "getComputedStyle(document.getElementById('talk-state'), '::before').animationName";
    let fading = "getComputedStyle(document.getElementById('send')).transitionDuration";
    assert_eq!(browser.eval(turning), "turn");
    assert_ne!(browser.eval(fading), "0s");
    browser.prefer("prefers-reduced-motion", "reduce");
    assert_eq!(browser.eval(turning), "none");
    assert_eq!(browser.eval(fading), "0s");
}

#[test]
#[ignore = "needs Chromium"]
fn the_keyboard_alone_is_enough() {
    let (server, mut browser) = Browser::with_server();
    let mut order = Vec::new();
    while order.last().map(String::as_str) != Some("idle-start") {
        browser.press_tab();
        let focused = browser.eval("document.activeElement.id");
        order.push(focused.as_str().unwrap().to_owned());
        let outline = browser.eval("getComputedStyle(document.activeElement).outlineStyle");
        assert_eq!(outline, "solid", "{order:?}");
        assert!(order.len() < 20, "{order:?}");
    }
    let expected = [
        "scheme",
        "host",
        "port",
        "path",
        "service",
        "protocol",
        "connect",
        "message",
        "ping-name",
        "ping-interval",
        "ping-start",
        "log-copy",
        "log-clear",
        "log",
        "clients-scroll",
        "idle-most",
        "idle-start",
    ];
    assert_eq!(order, expected);

    browser.open(&format!("http://{}/?path=/echo", server.address()));
    browser.eval("document.getElementById('protocol').focus()");
    browser.press_tab();
    browser.press_enter();
    browser.wait_for_text("#talk-state", "Connected");
    browser.wait_for("document.activeElement.id === 'message'");
    browser.type_text("by keyboard");
    browser.press_enter();
    browser.wait_for_entry("received", "[RE]: by keyboard");
    browser.eval("document.getElementById('connect').focus()");
    browser.press_enter();
    browser.wait_for_text("#talk-state", "Disconnected");
    assert_eq!(browser.eval("document.activeElement.id"), "connect");
}

#[test]
#[ignore = "needs Chromium"]
fn a_screen_reader_finds_a_name_for_everything() {
    let server = TestServer::start();
    let mut browser = busy(&server, DESKTOP);
    let tree = browser.call("Accessibility.getFullAXTree", json!({}));
    let nodes = tree["nodes"].as_array().unwrap();
    let seen = nodes.iter().filter(|node| node["ignored"] == false);
    let named: Vec<_> = seen
        .map(|node| {
            (node["role"]["value"].as_str().unwrap(), node["name"]["value"].as_str().unwrap_or(""))
        })
        .collect();
    let roles = [
        "RootWebArea",
        "button",
        "textbox",
        "combobox",
        "spinbutton",
        "link",
        "log",
        "region",
        "table",
        "image",
        "heading",
    ];
    for role in roles {
        let names: Vec<_> =
            named.iter().filter(|(own, _)| *own == role).map(|(_, name)| name).collect();
        assert!(!names.is_empty(), "no {role}");
        assert!(names.iter().all(|name| !name.trim().is_empty()), "{role}: {names:?}");
    }
    for landmark in ["banner", "main"] {
        assert_eq!(named.iter().filter(|(role, _)| *role == landmark).count(), 1, "{landmark}");
    }
    // Texts that change all the time are not in a live region, which would be read out.
    let loud = "document.querySelectorAll('[aria-live], [role=status], [role=alert]')";
    let quiet = browser
        .eval(&format!("[...{loud}].filter((area) => area.querySelector('dd, td, b')).length"));
    assert_eq!(quiet, 0);
}

/// Takes the picture of the README. To update it: `cp target/tmp/browser/page.png
/// crates/server/src/front/page/page.png`.
#[test]
#[ignore = "needs Chromium"]
fn a_picture_is_taken_of_the_page_at_work() {
    let (server, mut browser) = Browser::with_server();
    browser.connect("/echo");
    browser.press_enter();
    browser.wait_for_entry("received", "[RE]: Hello!");
    browser.fill("#ping-interval", "0.05");
    browser.press_enter();
    let mut clients =
        ["Client-100", "Client-200", "Client-300"].map(|name| (name, server.connect()));
    for replies in 1..=90 {
        let (name, client) = &mut clients[replies % 3];
        client.ping(name, "Ping!");
        browser.wait_for_replies(replies);
    }
    let picture = browser.picture("page");
    let size = std::fs::metadata(picture).unwrap().len();
    assert!((20_000..200_000).contains(&size), "{size} bytes");
}
