//! A browser with one tab, and what a person does in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::devtools::Chromium;
use crate::support::{TestServer, eventually};

/// The folder of pictures.
const PICTURES: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/browser");

/// A size of the window, in CSS pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) is_phone: bool,
}

pub(crate) const DESKTOP: Size = Size { width: 1280, height: 900, is_phone: false };
pub(crate) const PHONE: Size = Size { width: 390, height: 844, is_phone: true };

/// A tab. When its test fails, a picture of it is kept.
#[derive(Debug)]
pub(crate) struct Browser {
    chromium: Chromium,
    session: String,
    _permit: Permit,
}

/// A permit to run a browser, of as many as there are cores. More browsers at a time would wait for
/// each other until their tests give up.
#[derive(Debug)]
struct Permit;

static TAKEN: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

impl Permit {
    fn wait() -> Self {
        let permits = thread::available_parallelism().map_or(1, usize::from);
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |taken: &mut usize| *taken >= permits;
        *FREED.wait_while(taken, is_full).unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        FREED.notify_one();
    }
}

impl Browser {
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::with_flags(&[])
    }

    #[track_caller]
    pub(crate) fn with_flags(flags: &[&str]) -> Self {
        Self::over(|| Chromium::start(flags, &[]))
    }

    /// A browser whose user trusts an authority.
    #[track_caller]
    pub(crate) fn trusting(authority: &Path) -> Self {
        Self::over(|| Chromium::start(&[], &[authority]))
    }

    #[track_caller]
    fn over(start: impl FnOnce() -> Chromium) -> Self {
        let permit = Permit::wait();
        let mut chromium = start();
        let mut call = |method, params| chromium.call(None, method, params).unwrap();
        let target = call("Target.createTarget", json!({"url": "about:blank"}));
        let target = json!({"targetId": target["targetId"], "flatten": true});
        let session = call("Target.attachToTarget", target)["sessionId"].as_str().unwrap().into();
        let mut browser = Self { chromium, session, _permit: permit };
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.resize(DESKTOP);
        browser
    }

    /// A server, and a browser that shows its page.
    #[track_caller]
    pub(crate) fn with_server() -> (TestServer, Self) {
        let server = TestServer::start();
        let browser = Self::at(&server);
        (server, browser)
    }

    /// A browser that shows the page of a server.
    #[track_caller]
    pub(crate) fn at(server: &TestServer) -> Self {
        let mut browser = Self::start();
        browser.open(&format!("http://{}/", server.address()));
        browser
    }

    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        self.chromium.call(Some(&self.session), method, params).unwrap()
    }

    /// Opens an address, and waits until its script has run.
    #[track_caller]
    pub(crate) fn open(&mut self, url: &str) {
        let opened = self.call("Page.navigate", json!({"url": url}));
        assert_eq!(opened.get("errorText"), None, "{url}");
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// Opens an address, and answers its request with `body` in place of whatever listens there.
    #[track_caller]
    pub(crate) fn open_as(&mut self, url: &str, body: &str) {
        self.call("Fetch.enable", json!({"patterns": [{"urlPattern": url}]}));
        self.eval(&format!("location.href = {}", Value::from(url)));
        let paused = eventually(url, || self.events("Fetch.requestPaused").pop());
        let html = json!({"name": "Content-Type", "value": "text/html; charset=utf-8"});
        self.call(
            "Fetch.fulfillRequest",
            json!({
                "requestId": paused["requestId"],
                "responseCode": 200,
                "responseHeaders": [html],
                "body": BASE64.encode(body.as_bytes()),
            }),
        );
        let url = Value::from(url);
        self.wait_for(&format!("document.readyState === 'complete' && location.href === {url}"));
    }

    /// Lets a script run before those of the page.
    #[track_caller]
    pub(crate) fn run_first(&mut self, source: &str) {
        self.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": source}));
    }

    /// The parameters of the events of this name so far, oldest first.
    pub(crate) fn events(&mut self, method: &str) -> Vec<Value> {
        let events = self.chromium.events().iter().filter(|event| event["method"] == method);
        events.map(|event| event["params"].clone()).collect()
    }

    /// The problems in the console: exceptions, errors, and violations of the policy.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        let exceptions = self.events("Runtime.exceptionThrown").into_iter();
        let calls = self.events("Runtime.consoleAPICalled").into_iter();
        let entries = self.events("Log.entryAdded").into_iter();
        let errors = calls.filter(|call| call["type"] == "error" || call["type"] == "warning");
        let entries = entries.filter(|log| log["entry"]["level"] == "error");
        exceptions.chain(errors).chain(entries).map(|event| event.to_string()).collect()
    }

    /// The value of an expression; of a promise, the value that it resolves to.
    #[track_caller]
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        self.try_eval(expression).unwrap()
    }

    /// [`Self::eval`], unless the browser does not answer.
    #[track_caller]
    fn try_eval(&mut self, expression: &str) -> Result<Value, String> {
        let params = json!({
            "expression": expression,
            "returnByValue": true,
            "awaitPromise": true,
            "userGesture": true,
        });
        let mut result = self.chromium.call(Some(&self.session), "Runtime.evaluate", params)?;
        let thrown = result.get("exceptionDetails");
        assert_eq!(thrown, None, "{expression}");
        Ok(result["result"]["value"].take())
    }

    /// Waits until an expression is truthy, and returns its value.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, expression: &str) -> Value {
        let is_true = |value: &Value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::String(text) => !text.is_empty(),
            Value::Number(number) => number.as_f64() != Some(0.0),
            _ => true,
        };
        eventually(expression, || match self.try_eval(expression) {
            Ok(value) => Some(value).filter(is_true),
            // While one page takes the place of another, there is none that could answer.
            Err(error) if ["navigated", "context"].iter().any(|part| error.contains(part)) => None,
            Err(error) => panic!("{expression}: {error}"),
        })
    }

    /// The text of the only element that a selector finds.
    #[track_caller]
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let text = self.eval(&format!("{}.textContent", element(selector)));
        text.as_str().expect("a text").into()
    }

    /// Waits until the text of an element contains `part`.
    #[track_caller]
    pub(crate) fn wait_for_text(&mut self, selector: &str, part: &str) {
        let part = Value::from(part);
        self.wait_for(&format!("{}.textContent.includes({part})", element(selector)));
    }

    /// Waits for an entry of the log of events, and returns its text.
    #[track_caller]
    pub(crate) fn wait_for_entry(&mut self, kind: &str, part: &str) -> String {
        let part = Value::from(part);
        let entry = self.wait_for(&format!(
            "[...document.querySelectorAll('.entry')].map((entry) => entry.children)
                .find(([, kind, text]) => kind.textContent === '{kind}' && text.textContent.includes({part}))
                ?.[2].textContent"
        ));
        entry.as_str().expect("a text").into()
    }

    /// The texts of the entries of a kind, oldest first.
    #[track_caller]
    pub(crate) fn entries(&mut self, kind: &str) -> Vec<String> {
        let entries = self.eval(&format!(
            "[...document.querySelectorAll('.entry')].map((entry) => entry.children)
                .filter(([, own]) => own.textContent === '{kind}').map(([, , text]) => text.textContent)"
        ));
        serde_json::from_value(entries).expect("texts")
    }

    /// The cells of a table, row by row.
    #[track_caller]
    pub(crate) fn cells(&mut self, id: &str) -> Vec<Vec<String>> {
        let rows = self.eval(&format!(
            "[...document.getElementById('{id}').rows].map((row) => [...row.cells].map((cell) => cell.textContent))"
        ));
        serde_json::from_value(rows).expect("texts")
    }

    /// The number that an element shows.
    #[track_caller]
    pub(crate) fn number(&mut self, selector: &str) -> f64 {
        let text = self.text(selector);
        text.replace(',', "").parse().unwrap_or_else(|_| panic!("{selector} is no number: {text}"))
    }

    /// Clicks in the middle of an element, which nothing may cover.
    #[track_caller]
    pub(crate) fn click(&mut self, selector: &str) {
        eventually(&format!("a click at {selector}"), || self.try_click(selector).then_some(()));
    }

    /// Clicks in the middle of an element. Returns `false` if the page has moved the element away
    /// before the button of the mouse was pressed or released, as where figures of the server have
    /// come.
    #[track_caller]
    fn try_click(&mut self, selector: &str) -> bool {
        let point = self.eval(&format!(
            "(() => {{
                const element = {};
                element.scrollIntoView({{ block: 'center' }});
                const {{ left, top, width, height }} = element.getBoundingClientRect();
                const [x, y] = [left + width / 2, top + height / 2];
                const clicked = ({{ target }}) => {{ window.hasMissed = !element.contains(target); }};
                document.addEventListener('click', clicked, {{ capture: true, once: true }});
                // A disabled element gets no click.
                window.hasMissed = !element.matches(':disabled');
                return element.contains(document.elementFromPoint(x, y)) && {{ x, y }};
            }})()",
            element(selector)
        ));
        assert!(point.is_object(), "{selector} is covered");
        for kind in ["mousePressed", "mouseReleased"] {
            let mut event = point.clone();
            event["type"] = kind.into();
            event["button"] = "left".into();
            event["clickCount"] = 1.into();
            self.call("Input.dispatchMouseEvent", event);
        }
        // A page that the click has left does not answer.
        self.try_eval("window.hasMissed") != Ok(true.into())
    }

    /// Puts a text into a field, in place of what is there.
    #[track_caller]
    pub(crate) fn fill(&mut self, selector: &str, text: &str) {
        self.click(selector);
        self.eval(&format!("{}.select()", element(selector)));
        self.type_text(text);
    }

    /// Connects to a path of the server that the page is from.
    #[track_caller]
    pub(crate) fn connect(&mut self, path: &str) {
        self.fill("#path", path);
        self.click("#connect");
        self.wait_for_text("#talk-state", "Connected");
    }

    /// Sends a message over the connection that is open.
    #[track_caller]
    pub(crate) fn send(&mut self, message: &str) {
        self.fill("#message", message);
        self.press_enter();
    }

    /// Waits until so many pings of the ping mode were answered.
    #[track_caller]
    pub(crate) fn wait_for_replies(&mut self, replies: usize) {
        let received = "Number(document.getElementById('ping-received').textContent)";
        self.wait_for(&format!("{received} >= {replies}"));
    }

    /// Types where the focus is.
    #[track_caller]
    pub(crate) fn type_text(&mut self, text: &str) {
        if text.is_empty() {
            return self.press("Delete", 46, None);
        }
        self.call("Input.insertText", json!({"text": text}));
    }

    #[track_caller]
    pub(crate) fn press_enter(&mut self) {
        self.press("Enter", 13, Some("\r"));
    }

    #[track_caller]
    pub(crate) fn press_tab(&mut self) {
        self.press("Tab", 9, None);
    }

    /// Pastes where the focus is.
    #[track_caller]
    pub(crate) fn paste(&mut self) {
        let event = json!({"type": "keyDown", "key": "v", "commands": ["paste"]});
        self.call("Input.dispatchKeyEvent", event);
    }

    #[track_caller]
    fn press(&mut self, key: &str, code: u32, text: Option<&str>) {
        for kind in ["keyDown", "keyUp"] {
            let mut event =
                json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            if let Some(text) = text.filter(|_| kind == "keyDown") {
                event["text"] = text.into();
            }
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Chooses an option of a list.
    #[track_caller]
    pub(crate) fn choose(&mut self, selector: &str, option: &str) {
        self.eval(&format!(
            "(() => {{
                const list = {};
                list.value = '{option}';
                list.dispatchEvent(new Event('input', {{ bubbles: true }}));
                list.dispatchEvent(new Event('change', {{ bubbles: true }}));
            }})()",
            element(selector)
        ));
        assert_eq!(self.eval(&format!("{}.value", element(selector))), option);
    }

    #[track_caller]
    pub(crate) fn resize(&mut self, size: Size) {
        let Size { width, height, is_phone } = size;
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone}),
        );
        self.call("Emulation.setTouchEmulationEnabled", json!({"enabled": is_phone}));
    }

    /// Sets a media feature, such as `prefers-color-scheme` to `dark`.
    #[track_caller]
    pub(crate) fn prefer(&mut self, feature: &str, value: &str) {
        let feature = json!({"name": feature, "value": value});
        self.call("Emulation.setEmulatedMedia", json!({"features": [feature]}));
    }

    /// Takes a picture of the page from top to end, and returns its path.
    #[track_caller]
    pub(crate) fn picture(&mut self, name: &str) -> PathBuf {
        self.take_picture(name).unwrap()
    }

    fn take_picture(&mut self, name: &str) -> Result<PathBuf, String> {
        let params = json!({"format": "png", "captureBeyondViewport": true});
        let shot = self.chromium.call(Some(&self.session), "Page.captureScreenshot", params)?;
        let png = shot["data"].as_str().ok_or("no picture")?;
        let png = BASE64.decode(png.as_bytes()).map_err(|error| error.to_string())?;
        let path = Path::new(PICTURES).join(format!("{name}.png"));
        let written = fs::create_dir_all(PICTURES).and_then(|()| fs::write(&path, png));
        written.map(|()| path).map_err(|error| error.to_string())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if thread::panicking() {
            let name = thread::current().name().unwrap_or("test").replace("::", "-");
            match self.take_picture(&format!("failed-{name}")) {
                Ok(path) => eprintln!("what the page showed: {}", path.display()),
                Err(error) => eprintln!("no picture of the page: {error}"),
            }
            eprintln!("what the console said: {:#?}", self.complaints());
        }
    }
}

fn element(selector: &str) -> String {
    format!("document.querySelector({})", Value::from(selector))
}
