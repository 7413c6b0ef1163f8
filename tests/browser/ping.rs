//! Ping mode.

use std::net::TcpStream;

use tokio_tungstenite::tungstenite::{Message, WebSocket};

use crate::browser::Browser;
use crate::fake::FakeServer;
use crate::support::{TestServer, eventually, own_address};

#[track_caller]
fn start(browser: &mut Browser, name: &str, interval: &str) {
    browser.fill("#ping-name", name);
    browser.fill("#ping-interval", interval);
    browser.press_enter();
    assert_eq!(browser.text("#ping-start"), "Stop");
}

/// A picture of the chart as a data URL, to compare with another one.
#[track_caller]
fn drawing(browser: &mut Browser) -> String {
    let drawing = browser.eval("document.getElementById('ping-chart').toDataURL()");
    drawing.as_str().unwrap().into()
}

/// How many pixels of the chart have the colour of a variable of the style.
#[track_caller]
fn pixels(browser: &mut Browser, colour: &str) -> u64 {
    let pixels = browser.eval(&format!(
        "(() => {{
            const canvas = document.getElementById('ping-chart');
            const pen = document.createElement('canvas').getContext('2d');
            pen.fillStyle = getComputedStyle(canvas).getPropertyValue('--{colour}');
            pen.fillRect(0, 0, 1, 1);
            const wanted = pen.getImageData(0, 0, 1, 1).data;
            const all = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            let count = 0;
            for (let at = 0; at < all.length; at += 4) {{
                count += wanted.every((part, index) => Math.abs(part - all[at + index]) < 3);
            }}
            return count;
        }})()"
    ));
    pixels.as_u64().unwrap()
}

#[test]
#[ignore = "needs Chromium"]
fn round_trips_are_drawn_the_figures_add_up_and_the_log_has_the_lines() {
    let (server, mut browser) = Browser::with_server();
    let empty = drawing(&mut browser);
    assert_eq!(pixels(&mut browser, "accent"), 0);
    start(&mut browser, "Client \"Ä\"", "0.05");
    browser.wait_for_replies(5);
    let few = drawing(&mut browser);
    browser.wait_for_replies(20);
    browser.click("#ping-start");
    browser.wait_for_text("#ping-state", "Stopped");
    assert_ne!(empty, few);
    assert_ne!(few, drawing(&mut browser));
    assert!(pixels(&mut browser, "accent") > 100);
    assert_eq!(pixels(&mut browser, "bad"), 0);

    let [sent, received, lost] =
        ["#ping-sent", "#ping-received", "#ping-lost"].map(|figure| browser.number(figure));
    // A ping may have been on its way when ping mode was stopped.
    assert!(sent == received || sent == received + 1.0, "{sent}, {received}");
    assert_eq!(lost, 0.0);
    let [last, min, average, max, p99] = ["last", "min", "average", "max", "p99"]
        .map(|name| browser.number(&format!("#ping-{name}")));
    assert!(
        0.0 < max && min <= average && average <= p99 && p99 <= max,
        "{min}/{average}/{max}/{p99}"
    );
    assert!(min <= last && last <= max, "{last}");
    let label = browser.eval("document.getElementById('ping-chart').ariaLabel");
    let told = format!("of the last {received} replies, from ");
    assert!(label.as_str().unwrap().contains(&told), "{label}");
    eventually("the lines", || (server.log().lines().len() == sent as usize).then_some(()));
    assert!(server.log().pings().iter().all(|ping| *ping == ("Client \\\"Ä\\\"", "Ping!")));
}

#[test]
#[ignore = "needs Chromium"]
fn pinging_goes_on_when_the_server_is_back() {
    let address = own_address();
    let mut server = TestServer::builder().at(address).start();
    let mut browser = Browser::at(&server);
    start(&mut browser, "Stayer", "0.05");
    browser.wait_for_replies(3);
    server.kill();
    browser.wait_for_text("#ping-state", "Lost");
    browser.wait_for_entry("lost", "trying again until it works");
    let before = server.log().lines().len();
    let server = server.again().at(address).start();
    browser.wait_for_text("#ping-state", "Pinging");
    browser.wait_for_entry("back", "connected again to");
    let received = browser.number("#ping-received") as usize;
    browser.wait_for_replies(received + 3);
    assert!(server.log().lines().len() >= before + 3);
    assert!(server.log().pings().iter().all(|ping| *ping == ("Stayer", "Ping!")));
    // The gap is marked from top to bottom, which is more than a cross.
    eventually("a mark", || (pixels(&mut browser, "bad") > 100).then_some(()));
    assert_eq!(browser.entries("lost").len(), 1);
    assert_eq!(browser.entries("back").len(), 1);
    assert!(browser.number("#ping-lost") <= 1.0);
}

#[test]
#[ignore = "needs Chromium"]
fn pinging_begins_when_the_server_does() {
    let (_server, mut browser) = Browser::with_server();
    let address = own_address();
    browser.fill("#host", &address.ip().to_string());
    browser.fill("#port", &address.port().to_string());
    start(&mut browser, "Early", "0.05");
    browser.wait_for_entry("lost", "no connection yet to");
    browser.wait_for_text("#ping-hint", "nothing listens at this host and port");
    let tries = |browser: &mut Browser| browser.events("Network.webSocketCreated").len();
    eventually("further tries", || (tries(&mut browser) > 4).then_some(()));
    let late = TestServer::builder().at(address).start();
    browser.wait_for_replies(2);
    assert_eq!(browser.number("#ping-lost"), 0.0);
    assert_eq!(browser.text("#ping-hint"), "");
    assert!(late.log().pings().contains(&("Early", "Ping!")));
}

#[test]
#[ignore = "needs Chromium"]
fn a_ping_that_nobody_answers_counts_as_lost() {
    fn be_silent(mut socket: WebSocket<TcpStream>) {
        while socket.read().is_ok() {}
    }
    let server = TestServer::start();
    let fake = FakeServer::start(be_silent);
    let mut browser = Browser::start();
    // The page waits 2 s in place of the 10 s.
    browser.run_first(
        "const wait = setTimeout;
         window.setTimeout = (act, ms) => wait(act, ms === 10000 ? 2000 : ms);",
    );
    browser.open(&format!("http://{}/", server.address()));
    browser.fill("#port", &fake.address.port().to_string());
    start(&mut browser, "Patient", "0.05");
    browser.wait_for_entry("lost", "no answer within 10 s");
    // The page connects again, and loses the next ping too.
    browser.wait_for("Number(document.getElementById('ping-lost').textContent) >= 2");
    browser.wait_for_entry("back", "");
    browser.click("#ping-start");
    assert_eq!(browser.number("#ping-received"), 0.0);
    assert!(browser.number("#ping-sent") - browser.number("#ping-lost") <= 1.0);
    eventually("crosses", || (pixels(&mut browser, "bad") > 20).then_some(()));
}

#[test]
#[ignore = "needs Chromium"]
fn a_ping_that_is_refused_counts_as_lost_and_says_why() {
    fn refuse_some(mut socket: WebSocket<TcpStream>) {
        let mut replies =
            ["Pong!", "Error: no <i>room</i>", "Error: no <i>room</i>"].iter().cycle();
        while let Ok(message) = socket.read() {
            if message.is_text() {
                let _ = socket.send(Message::text(*replies.next().unwrap()));
            }
        }
    }
    let server = TestServer::start();
    let fake = FakeServer::start(refuse_some);
    let mut browser = Browser::at(&server);
    browser.fill("#port", &fake.address.port().to_string());
    start(&mut browser, "Unlucky", "0.05");
    browser.wait_for_entry("error", "ping mode: Error: no <i>room</i>");
    browser.wait_for_replies(3);
    browser.click("#ping-start");
    assert!(browser.number("#ping-lost") >= 4.0);
    assert_eq!(
        browser.eval("document.querySelector('#log i, #ping-hint i')"),
        serde_json::Value::Null
    );
    assert_eq!(browser.entries("lost"), [""; 0]);
}

#[test]
#[ignore = "needs Chromium"]
fn an_interval_that_is_too_short_is_not_taken() {
    let (server, mut browser) = Browser::with_server();
    for interval in ["0.01", "0", "-1", "4000", ""] {
        browser.fill("#ping-interval", interval);
        browser.press_enter();
        assert_eq!(browser.text("#ping-start"), "Start", "{interval:?}");
    }
    assert_eq!(server.log_text(), "");
}
