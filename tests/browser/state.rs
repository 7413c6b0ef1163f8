//! The state of the server, as the page shows it.

use rustix::process::Resource;

use crate::browser::{Browser, PHONE};
use crate::support::{TestServer, eventually, own_address};

#[test]
#[ignore = "needs Chromium"]
fn pings_and_connections_of_others_are_counted_as_they_come() {
    let (server, mut browser) = Browser::with_server();
    browser.wait_for_text("#server-live", "Live");
    browser.wait_for_text("#clients-note", "Nobody has pinged yet");
    let mut first = server.connect();
    let mut second = server.connect();
    (0..7).for_each(|_| drop(first.ping("Client-100", "Ping!")));
    (0..2).for_each(|_| drop(second.ping("Client-20", "Ping!")));
    browser.wait_for("document.getElementById('server-pings').textContent === '9'");
    let clients = browser.cells("clients");
    let counts: Vec<_> = clients.iter().map(|row| (&*row[0], &*row[1])).collect();
    assert_eq!(counts, [("Client-20", "2"), ("Client-100", "7")]);
    browser.wait_for(
        "[...document.getElementById('clients').rows].every((row) => /^\\d+(\\.\\d)? s ago$/.test(row.cells[2].textContent))",
    );
    let services = browser.cells("services");
    assert!(services.contains(&["/", "2", "2"].map(String::from).to_vec()), "{services:?}");
    browser.wait_for("document.getElementById('server-rate').textContent === '0.0'");
    second.close();
    browser.wait_for("document.getElementById('services').rows[0].cells[1].textContent === '1'");
    // The open one, and that of the page itself.
    browser.wait_for("document.getElementById('server-open').textContent === '2'");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
#[ignore = "needs Chromium"]
fn the_total_grows_with_what_is_sent() {
    let (_server, mut browser) = Browser::with_server();
    browser.wait_for_text("#server-total", "Running total: 0");
    browser.connect("/total");
    browser.send("42.5");
    browser.wait_for_entry("received", "Server records total=42.5");
    browser.wait_for_text("#server-total", "Running total: 42.5");
}

#[test]
#[ignore = "needs Chromium"]
fn names_and_messages_of_strangers_stay_text() {
    let (server, mut browser) = Browser::with_server();
    browser.wait_for_text("#server-live", "Live");
    let names = [
        "<img src=x onerror=\"window.ran=1\">",
        "</script><script>window.ran=1</script>",
        "evil\u{202e}gpj.exe",
        "two\nlines\u{0}",
    ];
    let shown = [
        "<img src=x onerror=\"window.ran=1\">",
        "</script><script>window.ran=1</script>",
        r"evil\u202egpj.exe",
        r"two\nlines\u0000",
    ];
    let mut client = server.connect();
    for name in names {
        client.ping(name, name);
    }
    browser.wait_for("document.getElementById('clients').rows.length === 4");
    let clients = browser.cells("clients");
    browser.connect("/echo");
    for shown in &shown[..3] {
        assert!(clients.iter().any(|row| row[0] == *shown), "{shown} in {clients:?}");
    }
    for (name, shown) in names.iter().zip(shown).take(3) {
        browser.send(name);
        browser.wait_for_entry("received", &format!("[RE]: {shown}"));
    }
    assert_eq!(browser.eval("document.querySelectorAll('img, main script').length"), 0);
    assert_eq!(browser.eval("window.ran"), serde_json::Value::Null);
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
#[ignore = "needs Chromium"]
fn of_many_clients_fifty_are_shown_in_the_order_of_their_names() {
    let server = TestServer::start();
    let mut client = server.connect();
    for number in 1..=53 {
        client.ping(&format!("Client-{number}"), "Ping!");
    }
    let mut browser = Browser::at(&server);
    browser.wait_for_text("#clients-note", "and 3 that pinged longer ago");
    let clients = browser.cells("clients");
    let number = |row: &Vec<String>| row[0].strip_prefix("Client-")?.parse::<u32>().ok();
    let numbers: Vec<_> = clients.iter().filter_map(number).collect();
    assert_eq!(numbers.len(), 50, "{clients:?}");
    assert!(numbers.is_sorted(), "{numbers:?}");
}

#[test]
#[ignore = "needs Chromium"]
fn the_pauses_between_tries_double_up_to_ten_seconds() {
    let server = TestServer::start();
    let mut browser = Browser::start();
    // Each random pause is the longest possible, and passes a hundred times faster.
    browser.run_first(
        "const wait = setTimeout;
         window.waits = [];
         window.setTimeout = (act, ms) => (window.waits.push(ms), wait(act, ms / 100));
         Math.random = () => 1;",
    );
    // Nothing listens at that address, so every try fails.
    browser.open_as(&format!("http://{}/", own_address()), &server.get("/").body);
    browser.wait_for("window.waits.length >= 18");
    let waits: Vec<u64> = serde_json::from_value(browser.eval("window.waits")).expect("numbers");
    // Before each pause, the page sets the 10 s that a try may take.
    let pauses = [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000];
    let expected: Vec<_> = pauses.into_iter().flat_map(|pause| [10_000, pause]).collect();
    assert_eq!(waits[..18], expected);
}

#[test]
#[ignore = "needs Chromium"]
fn a_server_that_cannot_write_its_log_says_so() {
    let (server, mut browser) = Browser::with_server();
    browser.wait_for_text("#server-live", "Live");
    server.limit(Resource::Fsize, Some(0));
    let refusal = server.connect().ping("Client-100", "Ping!");
    assert!(refusal.starts_with("Error: "), "{refusal}");
    browser.wait_for_text("#server-live", "In trouble");
    browser.wait_for_text("#server-trouble", "the log cannot be written");
    server.limit(Resource::Fsize, None);
    eventually("room again", || {
        (server.connect().ping("Client-100", "Ping!") == "Pong!").then_some(())
    });
    browser.wait_for_text("#server-live", "Live");
    assert_eq!(browser.text("#server-trouble"), "");
}

#[test]
#[ignore = "needs Chromium"]
fn while_the_server_is_away_its_state_is_unknown() {
    let address = own_address();
    let mut server = TestServer::builder().at(address).start();
    let mut browser = Browser::at(&server);
    browser.wait_for_text("#server-live", "Live");
    server.stop();
    browser.wait_for_text("#server-live", "State unknown since ");
    let said = browser.text("#server-live");
    assert_eq!(said.len(), "State unknown since 12:34:56".len(), "{said}");
    // This text is longer, and has room on a phone.
    browser.resize(PHONE);
    let height = browser.eval("document.querySelector('header').getBoundingClientRect().height");
    assert!(height.as_f64().unwrap() < 140.0, "{height}");
    let server = server.again().at(address).start();
    browser.wait_for_text("#server-live", "Live");
    server.connect().ping("Client-100", "Ping!");
    browser.wait_for("document.getElementById('server-pings').textContent === '1'");
}

#[test]
#[ignore = "needs Chromium"]
fn a_page_that_nobody_sees_asks_nothing() {
    let (_server, mut browser) = Browser::with_server();
    browser.wait_for_text("#server-live", "Live");
    let asked = |browser: &mut Browser| browser.events("Network.webSocketFrameSent").len();
    browser.eval("Object.defineProperty(document, 'hidden', { value: true, configurable: true })");
    // The question that was due finds the page hidden.
    browser.eval("new Promise((done) => setTimeout(done, 1500))");
    let before = asked(&mut browser);
    assert!(before > 0);
    browser.eval("new Promise((done) => setTimeout(done, 1500))");
    assert_eq!(asked(&mut browser), before);
    browser.eval("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))");
    eventually("a question", || (asked(&mut browser) > before).then_some(()));
}
