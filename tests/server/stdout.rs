//! The copy of the log on stdout, which never delays a Pong.

use std::time::Duration;

use crate::support::{Load, Log, TestServer, first, frame, own_address, ping_text, wait_until};

#[test]
fn stdout_is_the_log_byte_for_byte() {
    let mut server = TestServer::builder().env("WORKERS", "4").start();
    let load = Load::start(server.address(), "Load", 8, 8);
    load.wait_for(2000);
    assert!(server.connect().ask("no ping").starts_with("Error: "));
    load.finish();
    assert_eq!(server.connect().ping("日本\n", "\u{1b}"), "Pong!");
    assert_eq!(server.stop().0, Some(0));
    server.assert_stdout_shows(&server.log_path());
}

#[test]
fn a_line_is_shown_on_stdout_at_once() {
    let server = TestServer::start();
    let mut client = server.connect();
    for number in 1..=3 {
        assert_eq!(client.ping("Client-100", "Ping!"), "Pong!");
        wait_until("the line is shown", || Log::parse(&server.stdout()).lines().len() == number);
    }
}

#[test]
fn a_reader_of_stdout_that_keeps_up_misses_nothing() {
    // Several times as much in all as may wait for the reader, but less at once.
    const SENT: usize = 100;
    const AT_ONCE: usize = 10;
    let server = TestServer::start();
    let mut client = server.connect();
    let long = "x".repeat(40_000);
    let shown = || server.stdout().iter().filter(|&&byte| byte == b'\n').count();
    for sent in 1..=SENT {
        assert_eq!(client.ping("Client-100", &long), "Pong!");
        if sent % AT_ONCE == 0 {
            wait_until("the lines are shown", || shown() == sent);
        }
    }
    assert_eq!(server.lines_left_out(), 0);
}

#[test]
fn a_stdout_that_is_not_read_delays_no_pong_and_omitted_lines_are_counted() {
    const SENT: usize = 6000;
    const AT_ONCE: usize = 10;
    let server = TestServer::builder().unread_stdout().start();
    let mut client = server.raw();
    let filler = "x".repeat(1000);
    let ping = |number| ping_text("Client-100", &format!("{number} {filler}"));
    for number in (0..SENT).step_by(AT_ONCE) {
        let pings =
            (number..number + AT_ONCE).map(|number| frame(first::TEXT, ping(number).as_bytes()));
        client.send(&pings.collect::<Vec<_>>().concat());
        (0..AT_ONCE).for_each(|_| assert_eq!(client.frame().text(), "Pong!"));
    }
    assert_eq!(server.log().lines().len(), SENT);
    server.read_stdout();
    let shown = || server.stdout().iter().filter(|&&byte| byte == b'\n').count();
    wait_until("every line is shown or counted", || shown() + server.lines_left_out() == SENT);
    assert!(server.lines_left_out() > 1000, "{}", server.lines_left_out());

    // The lines on stdout are lines of the log, in its order.
    let (stdout, log) = (server.stdout(), server.log());
    let mut recorded = log.lines().iter();
    assert!(Log::parse(&stdout).lines().iter().all(|line| recorded.any(|own| own == line)));

    // Later lines appear on stdout again.
    assert_eq!(server.connect().ping("Client-100", "the last"), "Pong!");
    wait_until("the last line is shown", || {
        server.stdout().ends_with(b"(\"Client-100\"): the last\n")
    });
}

#[test]
fn a_stdout_that_is_not_read_does_not_delay_the_end() {
    let builder = TestServer::builder().env("DRAIN_TIMEOUT", "3600");
    let mut server = builder.unread_stdout().start();
    let mut client = server.connect();
    let long = "x".repeat(60_000);
    for _ in 0..30 {
        assert_eq!(client.ping("Client-100", &long), "Pong!");
    }
    server.assert_stops_within(Duration::from_secs(30));
    assert_eq!(server.log().lines().len(), 30);
}

#[test]
fn a_server_continues_after_the_reader_of_stdout_has_ended() {
    let server = TestServer::builder().closed_stdout().start();
    let mut client = server.connect();
    for _ in 0..100 {
        assert_eq!(client.ping("Client-100", "Ping!"), "Pong!");
    }
    server.event("stdout cannot be written: Broken pipe");
    assert_eq!(client.ping("Client-100", "Ping!"), "Pong!");
    assert_eq!(server.log().lines().len(), 101);
}

#[test]
fn a_server_works_with_stdout_closed_from_the_start() {
    let server = TestServer::builder().under(["sh", "-c", "exec \"$0\" >&-"]).start();
    server.assert_serves();
    assert_eq!(server.log().lines().len(), 1);
}

#[test]
fn a_line_of_megabytes_is_shown_too() {
    let server = TestServer::builder().env("MAX_MESSAGE", "4M").start();
    let mut client = server.connect();
    for message in ["x".repeat(3 << 20), "Ping!".into()] {
        assert_eq!(client.ping("Client-100", &message), "Pong!");
        wait_until("the line is shown", || server.stdout() == server.log_text().into_bytes());
    }
}

#[test]
fn a_stderr_that_is_not_read_delays_no_pong() {
    let builder = TestServer::builder().at(own_address()).env("DRAIN_TIMEOUT", "3600");
    let mut server = builder.env("RUST_LOG", "trace").unread_stderr().start();
    for _ in 0..500 {
        let mut client = server.connect();
        assert_eq!(client.ping("Client-100", "Ping!"), "Pong!");
        client.close();
    }
    assert_eq!(server.log().lines().len(), 500);
    server.assert_stops_within(Duration::from_secs(30));
}
