//! The card of the probe: how the server sees the browser, and what cuts a silent connection.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::browser::Browser;
use crate::fake::FakeServer;
use crate::stalls::patiently;
use crate::support::TestServer;

/// The connections that a middle cuts.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// Connections on which neither side has sent anything for this time.
    Idle(Duration),
    /// Connections on which the server has sent nothing for this time, as nginx does.
    IdleServer(Duration),
    /// Connections on which neither side has sent anything for this time; the middle then forwards
    /// nothing any more, and leaves both sides open.
    Blackhole(Duration),
    /// Connections of this age.
    Old(Duration),
}

/// Time of the last traffic, from either side and from the server, in milliseconds after the start
/// of the connection.
#[derive(Debug, Default)]
struct Passed {
    any: AtomicU64,
    server: AtomicU64,
}

/// Starts a middle in front of a server.
fn middle(server: SocketAddr, cut: Cut) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let upstream = TcpStream::connect(server).unwrap();
            let start = Instant::now();
            let passed = Arc::<Passed>::default();
            for (from, to, is_server) in [(&client, &upstream, false), (&upstream, &client, true)] {
                let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                let passed = Arc::clone(&passed);
                thread::spawn(move || forward(from, to, is_server, cut, start, &passed));
            }
        }
    });
    address
}

/// Forwards one direction until it ends, or until the middle cuts the connection.
fn forward(
    mut from: TcpStream,
    mut to: TcpStream,
    is_server: bool,
    cut: Cut,
    start: Instant,
    passed: &Passed,
) {
    from.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut buffer = [0; 4096];
    loop {
        let age = start.elapsed();
        let since =
            |at: &AtomicU64| age.saturating_sub(Duration::from_millis(at.load(Ordering::Relaxed)));
        let is_over = match cut {
            Cut::Idle(most) | Cut::Blackhole(most) => since(&passed.any) >= most,
            Cut::IdleServer(most) => since(&passed.server) >= most,
            Cut::Old(most) => age >= most,
        };
        match from.read(&mut buffer) {
            _ if is_over => break,
            Ok(0) => break,
            Ok(len) => {
                let now = u64::try_from(start.elapsed().as_millis()).unwrap();
                passed.any.store(now, Ordering::Relaxed);
                if is_server {
                    passed.server.store(now, Ordering::Relaxed);
                }
                if to.write_all(&buffer[..len]).is_err() {
                    break;
                }
            }
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {}
            Err(_) => break,
        }
    }
    if matches!(cut, Cut::Blackhole(_)) {
        // Both sockets stay open, and nobody reads them.
        static KEPT: Mutex<Vec<(TcpStream, TcpStream)>> = Mutex::new(Vec::new());
        KEPT.lock().unwrap().push((from, to));
        return;
    }
    for stream in [from, to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

/// Starts the search for an idle timeout of up to `most` seconds, through whatever listens at an
/// address. Returns the verdict.
#[track_caller]
fn ask(browser: &mut Browser, address: SocketAddr, most: &str) -> String {
    browser.fill("#port", &address.port().to_string());
    browser.fill("#idle-most", most);
    browser.click("#idle-start");
    browser.wait_for_text("#idle-state", "Running");
    browser.wait_for("document.getElementById('idle-start').textContent === 'Start'");
    browser.text("#idle-verdict")
}

#[test]
#[ignore = "needs Chromium"]
fn the_hello_is_shown_readably_when_a_person_connects() {
    let (server, mut browser) = Browser::with_server();
    assert_eq!(browser.eval("document.getElementById('hello').checkVisibility()"), false);
    browser.choose("#service", "/probe");
    browser.click("#connect");
    browser.wait_for("document.getElementById('hello').checkVisibility()");
    let rows = browser.eval(
        "Object.fromEntries([...document.getElementById('hello-rows').rows].map((row) => [...row.cells].map((cell) => cell.textContent)))",
    );
    let row = |name: &str| rows[name].as_str().unwrap_or_else(|| panic!("no {name}: {rows}"));
    assert_eq!(row("request"), "GET /probe HTTP/1.1");
    assert!(row("came from").starts_with("127.0.0.1:"), "{rows}");
    assert!(row("came from").ends_with(", without TLS at the server"), "{rows}");
    assert!(row("User-Agent").contains("Chrome/"), "{rows}");
    assert_eq!(row("Host"), server.address().to_string());
    assert_eq!(row("subprotocol"), "none");
    // The suggested message is one that the service knows.
    browser.press_enter();
    assert!(browser.wait_for_entry("received", "{\"pong\":1,").contains("\"left\":"));
}

#[test]
#[ignore = "needs Chromium"]
fn where_nothing_cuts_the_verdict_says_so() {
    patiently(|| {
        let (server, mut browser) = Browser::with_server();
        let verdict = ask(&mut browser, server.address(), "1");
        assert_eq!(verdict, "Nothing cuts a silent connection within 1 s.");
        let lanes = browser.cells("lanes");
        assert_eq!(lanes.len(), 5);
        assert!(
            lanes.iter().all(|cells| cells.len() == 3 && cells[1].starts_with("held ")),
            "{lanes:?}"
        );
        browser.wait_for_text("#idle-state", "Done");
        assert_eq!(browser.complaints(), [""; 0]);
    });
}

#[test]
#[ignore = "needs Chromium"]
fn an_idle_timeout_is_found_with_what_keeps_the_connection() {
    patiently(|| {
        let (server, mut browser) = Browser::with_server();
        let cut = Cut::Idle(Duration::from_secs(3));
        let address = middle(server.address(), cut);
        let seconds = "A silent connection is cut after 3.";
        // A page that a busy machine holds up measures too little.
        let mut verdict = ask(&mut browser, address, "5");
        for _ in 0..2 {
            if !verdict.starts_with(seconds) {
                verdict = ask(&mut browser, address, "5");
            }
        }
        assert!(verdict.starts_with(seconds), "{verdict}");
        let keeps = "What keeps it: messages from here, messages with answers, messages from the server, Ping frames from the server; send something every 1.";
        assert!(verdict.contains(keeps), "{verdict}");
        assert_eq!(browser.cells("lanes")[0][2], "fin");
    });
}

#[test]
#[ignore = "needs Chromium"]
fn a_timeout_that_only_the_server_resets_is_told_from_one_that_both_do() {
    patiently(|| {
        let (server, mut browser) = Browser::with_server();
        let cut = Cut::IdleServer(Duration::from_secs(3));
        let verdict = ask(&mut browser, middle(server.address(), cut), "5");
        assert!(verdict.contains("What keeps it: messages with answers, messages"), "{verdict}");
        assert!(verdict.ends_with(" What does not: messages from here."), "{verdict}");
    });
}

#[test]
#[ignore = "needs Chromium"]
fn a_bound_on_the_lifetime_is_no_idle_timeout() {
    patiently(|| {
        let (server, mut browser) = Browser::with_server();
        let cut = Cut::Old(Duration::from_secs(2));
        let verdict = ask(&mut browser, middle(server.address(), cut), "5");
        assert!(verdict.starts_with("Every connection was cut after "), "{verdict}");
    });
}

#[test]
#[ignore = "needs Chromium"]
fn silent_drops_are_noticed() {
    patiently(|| {
        let (server, mut browser) = Browser::with_server();
        let cut = Cut::Blackhole(Duration::from_secs(3));
        let verdict = ask(&mut browser, middle(server.address(), cut), "5");
        assert!(verdict.starts_with("A silent connection is dead within 5."), "{verdict}");
        assert_eq!(browser.cells("lanes")[0][2], "open");
    });
}

#[test]
#[ignore = "needs Chromium"]
fn a_server_without_probe_and_one_that_is_not_there_are_told() {
    let (_server, mut browser) = Browser::with_server();
    let strange = FakeServer::start(|mut socket| while socket.read().is_ok() {});
    let verdict = ask(&mut browser, strange.address, "1");
    assert_eq!(verdict, "The server says no hello: it has no /probe there.");
    let off = TestServer::builder().env("PROBE", "off").start();
    let verdict = ask(&mut browser, off.address(), "1");
    assert!(verdict.contains("the server does not know the path"), "{verdict}");
    browser.wait_for_text("#idle-state", "No connection");
}

#[test]
#[ignore = "needs Chromium"]
fn the_idle_probe_can_be_cancelled() {
    let (_server, mut browser) = Browser::with_server();
    browser.click("#idle-start");
    browser.wait_for("document.getElementById('lanes').rows.length === 5");
    browser.click("#idle-start");
    browser.wait_for_text("#idle-state", "Stopped");
    assert_eq!(browser.text("#idle-start"), "Start");
    assert_eq!(browser.text("#idle-verdict"), "");
}
