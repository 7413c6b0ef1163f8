//! `client talk`: lines from a pipe or a terminal.

use std::fs::File;
use std::io::{BufWriter, PipeReader, Read, Write, pipe};
use std::net::TcpStream;
use std::process::{ChildStdin, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::client::{Client, Lines, SOON, command};
use crate::fake::{Fake, Peer, Port, drain, read_frame};
use crate::real_server::RealServer;
use crate::stalls::patiently;
use crate::terminal::{CTRL_C, CTRL_D, Terminal, leader};

/// A client that talks to the server at `url`, with what it is told on stdin.
fn talk(url: &str, settings: &[(&str, &str)]) -> (Client, ChildStdin) {
    talk_into(Stdio::piped(), url, settings)
}

/// [`talk`] with another stdout.
fn talk_into(
    stdout: impl Into<Stdio>,
    url: &str,
    settings: &[(&str, &str)],
) -> (Client, ChildStdin) {
    let mut command = command(settings);
    command.args(["talk", url]).stdin(Stdio::piped()).stdout(stdout).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    (Client::of(child), stdin)
}

/// A client that talks to a server that the test plays, what it is told on stdin, and the other end
/// of its connection.
fn connected(settings: &[(&str, &str)]) -> (Client, ChildStdin, Peer) {
    let (server, url) = Fake::start();
    let (client, stdin) = talk(&url, settings);
    (client, stdin, server.accept())
}

/// Checks that a client ended well, and returns what it printed.
#[track_caller]
fn printed(mut client: Client) -> Vec<String> {
    let lines = client.stdout.rest();
    assert_eq!(client.stderr.rest(), [""; 0]);
    assert_eq!(client.wait().code(), Some(0));
    lines
}

/// The one line that a client has to say about its failure.
#[track_caller]
fn failure(mut client: Client) -> String {
    let lines = client.stderr.rest();
    assert_eq!(client.wait().code(), Some(1), "{lines:?}");
    let [line] = lines.as_slice() else { panic!("not one line: {lines:?}") };
    line.strip_prefix("error: ").unwrap().to_owned()
}

/// Answers each line with itself, up to the Close frame.
fn echo(peer: Peer) -> CloseCode {
    echo_with(peer, "")
}

/// Answers each line with itself behind a prefix, up to the Close frame.
fn echo_with(mut peer: Peer, prefix: &str) -> CloseCode {
    loop {
        match peer.next() {
            Message::Text(text) => peer.say(&format!("{prefix}{text}")),
            Message::Close(Some(frame)) => {
                peer.finish();
                return frame.code;
            }
            message => panic!("neither a line nor the end: {message:?}"),
        }
    }
}

mod piped {
    use super::*;

    #[test]
    fn every_line_gets_its_reply() {
        let (client, mut stdin, peer) = connected(&[]);
        stdin.write_all("1\r\n\n ü \nlast".as_bytes()).unwrap();
        drop(stdin);
        assert_eq!(echo(peer), CloseCode::Normal);
        assert_eq!(printed(client), ["1", "", " ü ", "last"]);
    }

    #[test]
    fn the_server_may_be_that_of_the_variable() {
        let (server, url) = Fake::start();
        let child = command(&[("SERVER_URL", &url)]).arg("--interactive").spawn().unwrap();
        assert_eq!(echo(server.accept()), CloseCode::Normal);
        assert!(child.wait_with_output().unwrap().status.success());
    }

    #[test]
    fn an_empty_input_is_all_there_is_to_do() {
        let (client, stdin, peer) = connected(&[]);
        drop(stdin);
        assert_eq!(peer.closed().code, CloseCode::Normal);
        assert_eq!(printed(client), [""; 0]);
    }

    #[test]
    fn a_hundred_numbers_are_added_up() {
        let server = RealServer::start(&[]);
        let (client, mut stdin) = talk(&(server.url() + "/total"), &[]);
        (1..=100).for_each(|number| writeln!(stdin, "{number}").unwrap());
        drop(stdin);
        let totals =
            (1..=100).map(|last| format!("Server records total={}", last * (last + 1) / 2));
        assert_eq!(printed(client), totals.collect::<Vec<_>>());
    }

    #[test]
    fn a_line_is_answered_before_the_next_is_there() {
        let (client, mut stdin, mut peer) = connected(&[]);
        for line in ["1", "2"] {
            writeln!(stdin, "{line}").unwrap();
            assert_eq!(peer.next(), Message::text(line));
            peer.say(&format!("total={line}"));
            assert_eq!(client.stdout.next(), format!("total={line}"));
        }
        drop(stdin);
        assert_eq!(peer.closed().code, CloseCode::Normal);
        assert_eq!(printed(client), [""; 0]);
    }

    #[test]
    fn unsolicited_frames_are_printed_and_answer_nothing() {
        let (client, mut stdin, mut peer) = connected(&[]);
        peer.say("welcome");
        peer.say("two\nlines \u{1b}[2J");
        peer.send(Message::binary(vec![7]));
        peer.send(Message::binary(vec![0; 12]));
        for line in ["welcome", "two", "lines \u{1b}[2J", "binary, 1 byte", "binary, 12 bytes"] {
            assert_eq!(client.stdout.next(), line);
        }
        stdin.write_all(b"1\n2\n").unwrap();
        drop(stdin);
        assert_eq!([peer.next(), peer.next()], ["1", "2"].map(Message::text));
        peer.say("one");
        // The second reply is waited for.
        assert_eq!(client.stdout.next(), "one");
        peer.say("two");
        let Message::Close(Some(frame)) = peer.next() else { panic!("no Close frame") };
        assert_eq!(frame.code, CloseCode::Normal);
        peer.finish();
        assert_eq!(printed(client), ["two"]);
    }

    #[test]
    fn a_protocol_ping_is_answered_while_no_line_comes() {
        let (client, stdin, mut peer) = connected(&[]);
        peer.send(Message::Ping("alive?".into()));
        assert_eq!(peer.next(), Message::Pong("alive?".into()));
        drop(stdin);
        assert_eq!(peer.closed().code, CloseCode::Normal);
        assert_eq!(printed(client), [""; 0]);
    }

    #[test]
    fn more_lines_than_any_buffer_holds_go_both_ways() {
        const COUNT: usize = 30_000;
        let line = |number| format!("{number:-<500}");
        let (client, mut stdin, peer) = connected(&[]);
        thread::scope(|scope| {
            scope.spawn(move || {
                let mut stdin = BufWriter::new(&mut stdin);
                (0..COUNT).for_each(|number| writeln!(stdin, "{}", line(number)).unwrap());
            });
            scope.spawn(|| assert_eq!(echo(peer), CloseCode::Normal));
            (0..COUNT).for_each(|number| assert_eq!(client.stdout.next(), line(number)));
        });
        assert_eq!(printed(client), [""; 0]);
    }

    #[test]
    fn the_longest_line_is_sent() {
        let (client, mut stdin, peer) = connected(&[]);
        let longest = "x".repeat(65536);
        writeln!(stdin, "{longest}\n{longest}").unwrap();
        drop(stdin);
        assert_eq!(echo(peer), CloseCode::Normal);
        assert_eq!(printed(client), [longest.clone(), longest]);
    }

    #[test]
    fn a_reply_may_be_longer_than_the_longest_line() {
        let (client, mut stdin, mut peer) = connected(&[]);
        writeln!(stdin, "x").unwrap();
        drop(stdin);
        peer.next();
        let long = "x".repeat(1 << 20);
        peer.say(&long);
        assert_eq!(peer.closed().code, CloseCode::Normal);
        assert_eq!(printed(client), [long]);
    }

    #[test]
    fn a_server_that_takes_nothing_gets_no_more_lines_and_is_given_up() {
        let (server, url) = Fake::start();
        let (client, mut stdin) = talk(&url, &[("PONG_TIMEOUT", "0.5")]);
        let (stream, _) = server.accept_raw();
        let block = "12345678901234567890123456789012345678901234567890123456789012\n".repeat(1024);
        let mut taken = 0;
        while stdin.write_all(block.as_bytes()).is_ok() {
            taken += block.len();
        }
        // The client reads no more of an endless input than the buffers of the system hold.
        assert!(taken < 64 << 20, "{taken} bytes");
        let error = failure(client);
        let start = format!("{url} takes no more lines, and sent nothing for 500ms; ");
        assert!(error.starts_with(&start) && error.ends_with(" replies did not come"), "{error}");
        drop(stream);
    }

    #[test]
    fn missing_replies_are_counted() {
        for (count, what) in [(1, "1 reply"), (2, "2 replies")] {
            let (client, mut stdin, mut peer) = connected(&[("PONG_TIMEOUT", "4")]);
            stdin.write_all(b"1\n2\n3\n").unwrap();
            drop(stdin);
            (0..3).for_each(|_| assert!(peer.next().is_text()));
            (count..3).for_each(|_| peer.say("reply"));
            assert_eq!(peer.closed().code, CloseCode::Normal);
            assert_eq!(client.stdout.rest().len(), 3 - count);
            assert_eq!(failure(client), format!("{what} did not come within 4s"));
        }
    }

    #[test]
    fn a_line_that_cannot_be_sent_is_told_after_the_replies_to_those_before() {
        let long = [b"x".repeat(65537), b"\n3\n".to_vec()].concat();
        for (bad, cause) in [
            (b"\xff\n3\n".as_slice(), "is not text in UTF-8"),
            (&long, "is longer than 65536 bytes"),
        ] {
            let (client, mut stdin, peer) = connected(&[]);
            stdin.write_all(b"1\n").unwrap();
            let _ = stdin.write_all(bad);
            assert_eq!(echo(peer), CloseCode::Normal);
            assert_eq!(client.stdout.rest(), ["1"]);
            let rest = "it was not sent, nor what follows it";
            assert_eq!(failure(client), format!("line 2 of the input {cause}; {rest}"));
        }
    }

    #[test]
    fn an_input_that_cannot_be_read_is_told() {
        let (server, url) = Fake::start();
        let mut command = command(&[]);
        command.args(["talk", &url]).stdin(File::open("/").unwrap());
        let client = Client::spawn(&mut command);
        assert_eq!(server.accept().closed().code, CloseCode::Normal);
        let error = failure(client);
        assert!(error.starts_with("cannot read line 1 of the input: Is a directory"), "{error}");
    }

    #[test]
    fn a_server_that_closes_is_not_waited_for() {
        let (server, url) = Fake::start();
        let (client, _stdin) = talk(&url, &[]);
        server.accept().close(1001, "the server\nstops");
        let cause = r"closed by the server (1001: the server\nstops)";
        assert_eq!(failure(client), format!("lost the connection to {url}: {cause}"));
    }

    #[test]
    fn a_server_that_closes_before_its_replies_owes_them() {
        let (server, url) = Fake::start();
        let (client, mut stdin) = talk(&url, &[]);
        let mut peer = server.accept();
        stdin.write_all(b"1\n2\n").unwrap();
        assert!(peer.next().is_text() && peer.next().is_text());
        peer.say("reply");
        peer.close(1011, "");
        assert_eq!(client.stdout.rest(), ["reply"]);
        let cause = "closed by the server (1011); 1 reply did not come";
        assert_eq!(failure(client), format!("lost the connection to {url}: {cause}"));
    }

    #[test]
    fn a_connection_that_breaks_is_told() {
        let (server, url) = Fake::start();
        let (client, _stdin) = talk(&url, &[]);
        let (stream, _) = server.accept_raw();
        drain(stream);
        let cause = "the server left without a Close frame";
        assert_eq!(failure(client), format!("lost the connection to {url}: {cause}"));
    }

    #[test]
    fn a_server_that_is_not_there_is_not_tried_again() {
        let port = Port::reserve();
        let url = port.url();
        let (client, _stdin) = talk(&url, &[]);
        let cause = "Connection refused (os error 111)";
        assert_eq!(
            failure(client),
            format!("cannot connect to {url}: {cause}; run client why to find the cause")
        );
        let (server, url) = Fake::start();
        let (client, _stdin) = talk(&url, &[]);
        server.refuse("404 Not Found", "no such path\n");
        let cause = "the server answered 404 Not Found: no such path";
        assert_eq!(
            failure(client),
            format!("cannot connect to {url}: {cause}; run client why to find the cause")
        );
    }

    #[test]
    fn a_signal_closes_the_connection() {
        for signal in [Signal::TERM, Signal::INT] {
            let (client, mut stdin, mut peer) = connected(&[]);
            stdin.write_all(b"1\n").unwrap();
            assert!(peer.next().is_text());
            let start = Instant::now();
            client.signal(signal);
            assert_eq!(peer.closed().code, CloseCode::Normal);
            assert_eq!(printed(client), [""; 0]);
            assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
        }
    }

    #[test]
    fn a_signal_ends_a_client_whose_stdout_nobody_reads() {
        let (server, url) = Fake::start();
        let (_reader, stdout) = pipe().unwrap();
        let (client, _stdin) = talk_into(stdout, &url, &[]);
        let (mut stream, _) = server.accept_raw();
        let frame = [&[0x81, 126, 0xea, 0x60], [b'x'; 60_000].as_slice()].concat();
        // Until the buffers on the way are full, those of the client included.
        stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        while stream.write_all(&frame).is_ok() {}
        client.signal(Signal::TERM);
        assert_eq!(printed(client), [""; 0]);
    }

    /// A client that has its replies, said goodbye, and waits for the reader of its stdout.
    fn waits_for_its_reader() -> (Client, PipeReader, Vec<String>) {
        // More than a pipe holds, less than the client reads ahead of it.
        const COUNT: usize = 20;
        let (server, url) = Fake::start();
        let (reader, stdout) = pipe().unwrap();
        let (client, mut stdin) = talk_into(stdout, &url, &[]);
        let mut peer = server.accept();
        (0..COUNT).for_each(|number| writeln!(stdin, "{number}").unwrap());
        drop(stdin);
        (0..COUNT).for_each(|_| assert!(peer.next().is_text()));
        let replies = vec!["x".repeat(60_000); COUNT];
        replies.iter().for_each(|reply| peer.say(reply));
        assert_eq!(peer.closed().code, CloseCode::Normal);
        (client, reader, replies)
    }

    #[test]
    fn a_reader_of_stdout_that_takes_its_time_gets_everything() {
        let (client, reader, replies) = waits_for_its_reader();
        assert_eq!(Lines::of("stdout", reader).rest(), replies);
        assert_eq!(printed(client), [""; 0]);
    }

    #[test]
    fn a_signal_ends_the_wait_for_a_reader_of_stdout() {
        let (client, _reader, _) = waits_for_its_reader();
        client.signal(Signal::TERM);
        assert_eq!(printed(client), [""; 0]);
    }

    #[test]
    fn a_closed_stdout_ends_the_client_quietly() {
        let (server, url) = Fake::start();
        let (mut reader, stdout) = pipe().unwrap();
        let writer = stdout.try_clone().unwrap();
        let (client, mut stdin) = talk_into(stdout, &url, &[]);
        let mut peer = server.accept();
        stdin.write_all(b"1\n").unwrap();
        peer.next();
        peer.say("one");
        reader.read_exact(&mut [0; 4]).unwrap();
        drop(reader);
        // Between fork and exec, the child process of another test holds a copy of the reader.
        let mut polled = [PollFd::new(&writer, PollFlags::empty())];
        poll(&mut polled, Some(&Timespec { tv_sec: 20, tv_nsec: 0 })).unwrap();
        assert!(polled[0].revents().contains(PollFlags::ERR), "the pipe has a reader");
        peer.say("two");
        assert_eq!(peer.closed().code, CloseCode::Normal);
        assert_eq!(printed(client), [""; 0]);
    }

    #[test]
    fn a_full_disk_is_told() {
        let (server, url) = Fake::start();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (client, _stdin) = talk_into(full, &url, &[]);
        let mut peer = server.accept();
        peer.say("one");
        assert_eq!(peer.closed().code, CloseCode::Normal);
        let cause = "No space left on device (os error 28)";
        assert_eq!(failure(client), format!("cannot write to stdout: {cause}"));
    }

    #[test]
    fn a_server_that_closes_after_each_answer_gets_each_line() {
        let (server, url) = Fake::start();
        let (client, mut stdin) = talk(&url, &[]);
        stdin.write_all(b"1\n2\n3\n").unwrap();
        drop(stdin);
        for (line, code) in [("1", 1000), ("2", 1001), ("3", 1000)] {
            let mut peer = server.accept();
            assert_eq!(peer.next(), Message::text(line));
            peer.say(&format!("total={line}"));
            peer.close(code, "");
        }
        assert_eq!(printed(client), ["total=1", "total=2", "total=3"]);
    }

    #[test]
    fn a_server_that_hangs_up_after_each_answer_gets_each_line() {
        let (server, url) = Fake::start();
        let (client, mut stdin) = talk(&url, &[]);
        stdin.write_all(b"1\n2\n").unwrap();
        drop(stdin);
        for line in [b"1", b"2"] {
            let (mut stream, _) = server.accept_raw();
            assert_eq!(read_frame(&mut stream), (0x81, line.to_vec()));
            stream.write_all(&[0x81, 1, line[0]]).unwrap();
            drain(stream);
        }
        assert_eq!(printed(client), ["1", "2"]);
    }

    #[test]
    fn a_server_that_is_gone_for_the_next_line_is_told() {
        let port = Port::reserve();
        let (client, mut stdin) = talk(&port_with_one_answer(&port), &[]);
        stdin.write_all(b"1\n2\n").unwrap();
        assert_eq!(client.stdout.next(), "one");
        let cause = "Connection refused (os error 111)";
        assert_eq!(
            failure(client),
            format!("cannot connect to {}: {cause}; run client why to find the cause", port.url())
        );
    }

    /// Starts a server that answers one line, closes, and is gone; returns its URL.
    fn port_with_one_answer(port: &Port) -> String {
        let server = port.listen();
        thread::spawn(move || {
            let mut peer = server.accept();
            let address = server.address();
            drop(server);
            // Another test's child process holds a copy of the listener between fork and exec.
            while TcpStream::connect(address).is_ok() {}
            peer.next();
            peer.say("one");
            peer.close(1000, "");
        });
        port.url()
    }

    #[test]
    fn an_unread_stdout_is_named_where_the_server_gave_up() {
        let (server, url) = Fake::start();
        let (reader, stdout) = pipe().unwrap();
        let (client, _stdin) = talk_into(stdout, &url, &[]);
        let (mut stream, _) = server.accept_raw();
        let frame = [&[0x81, 126, 0xea, 0x60], [b'x'; 60_000].as_slice()].concat();
        // Until the buffers on the way are full, those of the client included.
        stream.set_nonblocking(true).unwrap();
        let mut refused = 0;
        let mut rest = frame.as_slice();
        // For 4 s, unless this test itself is held up.
        while refused < 400 {
            match stream.write(rest) {
                Ok(written) => {
                    refused = 0;
                    rest = if written == rest.len() { &frame } else { &rest[written..] };
                }
                Err(_) => {
                    refused += 1;
                    thread::sleep(Duration::from_millis(10));
                }
            }
        }
        let reading = thread::spawn(move || Lines::of("stdout", reader).rest());
        stream.set_nonblocking(false).unwrap();
        stream.write_all(rest).unwrap();
        stream.write_all(b"\x88\x13\x03\xf0no sign of life!!").unwrap();
        drain(stream);
        reading.join().unwrap();
        let error = failure(client);
        let start = format!(
            "lost the connection to {url}: closed by the server (1008: no sign of life!!); nobody read stdout for "
        );
        assert!(error.starts_with(&start), "{error}");
    }
}

mod typed {
    use super::*;

    /// Types a line, which the other end of the connection has to get.
    #[track_caller]
    fn enter(terminal: &mut Terminal, peer: &mut Peer, line: &str) {
        terminal.keys(&format!("{line}\r"));
        assert_eq!(peer.next(), Message::text(line));
    }

    const LEFT: &str = "\u{1b}[D";
    const UP: &str = "\u{1b}[A";

    /// A client at a terminal that shows this prompt, the other end of its connection, the line that
    /// it begins with, and its server.
    #[track_caller]
    fn start(path: &str, prompt: &str) -> (Terminal, Peer, String, Fake) {
        let (server, url) = Fake::start();
        let url = url + path;
        let terminal = Terminal::start(&["talk", &url]);
        let peer = server.accept();
        let connected = format!("connected to {url}; Ctrl-D leaves");
        terminal.shows(&[&connected, prompt]);
        (terminal, peer, connected, server)
    }

    #[test]
    fn a_prompt_asks_for_each_number() {
        let (mut terminal, mut peer, connected, _server) = start("/total", "Number: ");
        enter(&mut terminal, &mut peer, "5");
        peer.say("Server records total=5");
        terminal.shows(&[&connected, "Number: 5", "Server records total=5", "Number: "]);
        enter(&mut terminal, &mut peer, "0.5");
        let shown = [&connected, "Number: 5", "Server records total=5", "Number: 0.5"];
        terminal.shows(&[&shown[..], &["Number: "]].concat());
        peer.say("Server records total=5.5");
        terminal.shows(&[&shown[..], &["Server records total=5.5", "Number: "]].concat());
    }

    #[test]
    fn other_paths_have_a_plain_prompt() {
        for path in ["", "/", "/echo", "/total/", "/?/total"] {
            start(path, "> ");
        }
    }

    #[test]
    fn unsolicited_frames_appear_above_the_line_being_typed() {
        let (mut terminal, mut peer, connected, _server) = start("/", "> ");
        peer.say("one");
        peer.say("two");
        terminal.shows(&[&connected, "one", "two", "> "]);
        terminal.keys("half");
        terminal.shows(&[&connected, "one", "two", "> half"]);
        peer.send(Message::binary(vec![0; 12]));
        terminal.shows(&[&connected, "one", "two", "binary, 12 bytes", "> half"]);
        terminal.keys(" a line\r");
        assert_eq!(peer.next(), Message::text("half a line"));
    }

    #[test]
    fn a_line_can_be_edited_and_comes_again_from_the_history() {
        let (mut terminal, mut peer, connected, _server) = start("/", "> ");
        terminal.keys("hllo");
        terminal.keys(&LEFT.repeat(3));
        terminal.keys("e\r");
        assert_eq!(peer.next(), Message::text("hello"));
        terminal.shows(&[&connected, "> hello", "> "]);
        enter(&mut terminal, &mut peer, "second");
        terminal.shows(&[&connected, "> hello", "> second", "> "]);
        terminal.keys(&UP.repeat(2));
        terminal.shows(&[&connected, "> hello", "> second", "> hello"]);
        terminal.keys("\u{7f}p\r");
        assert_eq!(peer.next(), Message::text("hellp"));
    }

    #[test]
    fn each_line_that_is_pasted_is_sent_and_each_reply_shown() {
        patiently(|| {
            let (mut terminal, peer, _, _server) = start("/", "> ");
            let pasted: Vec<_> = (0..20).map(|number| format!("line {number}")).collect();
            terminal.keys(&(pasted.join("\r") + "\r" + CTRL_D));
            assert_eq!(echo_with(peer, "reply to "), CloseCode::Normal);
            terminal.ends_with(0);
            let shown = terminal.lines();
            for line in pasted {
                let reply = format!("reply to {line}");
                assert_eq!(shown.iter().filter(|shown| **shown == reply).count(), 1, "{shown:?}");
            }
        });
    }

    #[test]
    fn text_from_the_server_does_not_move_the_cursor() {
        let (terminal, mut peer, connected, _server) = start("/", "> ");
        peer.say("\u{1b}[2J\u{1b}]0;title\u{7}\r\n\u{9b}1A ü");
        terminal.shows(&[&connected, r"\u001b[2J\u001b]0;title\u0007\r\n\u009b1A ü", "> "]);
    }

    #[test]
    fn ctrl_d_waits_for_the_last_reply() {
        patiently(|| {
            let (mut terminal, mut peer, connected, _server) = start("/total", "Number: ");
            enter(&mut terminal, &mut peer, "5");
            terminal.shows(&[&connected, "Number: 5", "Number: "]);
            terminal.keys(CTRL_D);
            terminal.shows(&[&connected, "Number: 5", "Number: ", ""]);
            peer.say("Server records total=5");
            assert_eq!(peer.closed().code, CloseCode::Normal);
            terminal.ends_with(0);
            terminal.shows(&[&connected, "Number: 5", "Number: ", "Server records total=5", ""]);
        });
    }

    #[test]
    fn ctrl_d_does_not_wait_long() {
        let (mut terminal, mut peer, connected, _server) = start("/", "> ");
        enter(&mut terminal, &mut peer, "5");
        terminal.shows(&[&connected, "> 5", "> "]);
        terminal.keys(CTRL_D);
        let start = Instant::now();
        assert_eq!(peer.closed().code, CloseCode::Normal);
        assert!(start.elapsed().as_secs() < 8, "{:?}", start.elapsed());
        terminal.ends_with(0);
        terminal.shows(&[&connected, "> 5", "> ", ""]);
    }

    #[test]
    fn ctrl_c_closes_the_connection() {
        for (keys, line) in [("", "> "), ("half", "> half")] {
            let (mut terminal, peer, connected, _server) = start("/", "> ");
            terminal.keys(keys);
            terminal.shows(&[&connected, &format!("> {keys}")]);
            terminal.keys(CTRL_C);
            assert_eq!(peer.closed().code, CloseCode::Normal);
            terminal.ends_with(0);
            terminal.shows(&[&connected, line, ""]);
        }
    }

    #[test]
    fn ctrl_c_ends_the_connecting() {
        let (server, url) = Fake::start();
        let mut terminal = Terminal::start(&["talk", &url]);
        let _silent = server.accept_tcp();
        terminal.keys(CTRL_C);
        terminal.ends_with(0);
        terminal.shows(&["^C", ""]);
    }

    #[test]
    fn a_signal_leaves_the_line_of_the_prompt_and_the_terminal_as_it_was() {
        for signal in [Signal::TERM, Signal::INT] {
            let (mut terminal, peer, connected, _server) = start("/", "> ");
            terminal.keys("half");
            terminal.shows(&[&connected, "> half"]);
            assert!(!terminal.echoes());
            terminal.signal(signal);
            assert_eq!(peer.closed().code, CloseCode::Normal);
            terminal.ends_with(0);
            terminal.shows(&[&connected, "> half", ""]);
            assert!(terminal.echoes());
        }
    }

    #[test]
    fn a_terminal_that_nobody_reads_does_not_hold_up_the_end() {
        let (mut terminal, mut peer, _, _server) = start("/", "> ");
        let fill = || (0..400).for_each(|_| peer.say(&"x".repeat(1000)));
        terminal.ends_unread(fill, Signal::TERM, 0);
    }

    #[test]
    fn a_server_that_is_lost_says_why() {
        let (mut terminal, peer, connected, _server) = start("/", "> ");
        peer.close(1001, "the server stops");
        terminal.ends_with(1);
        let url = &connected["connected to ".len()..connected.len() - "; Ctrl-D leaves".len()];
        let cause = "closed by the server (1001: the server stops)";
        let told = format!("error: lost the connection to {url}: {cause}");
        terminal.shows(&[&connected, "> ", &told, ""]);
    }

    #[test]
    fn a_server_that_closes_after_its_answer_is_connected_to_for_the_next_line() {
        let (mut terminal, mut peer, connected, server) = start("/total", "Number: ");
        enter(&mut terminal, &mut peer, "5");
        peer.say("total=5");
        peer.close(1000, "");
        let told = "closed by the server (1000); the next line connects again";
        let shown = [&connected, "Number: 5", "total=5", told];
        terminal.shows(&[&shown[..], &["Number: "]].concat());
        terminal.keys("6\r");
        let mut peer = server.accept();
        assert_eq!(peer.next(), Message::text("6"));
        peer.say("total=11");
        terminal.shows(&[&shown[..], &["Number: 6", "total=11", "Number: "]].concat());
        peer.close(1000, "");
        terminal.shows(&[&shown[..], &["Number: 6", "total=11", told, "Number: "]].concat());
        terminal.keys(CTRL_D);
        terminal.ends_with(0);
    }

    #[test]
    fn a_server_that_is_not_there_gets_no_prompt() {
        let port = Port::reserve();
        let mut terminal = Terminal::start(&["talk", &port.url()]);
        terminal.ends_with(1);
        let cause = "Connection refused (os error 111)";
        terminal.shows(&[
            &format!(
                "error: cannot connect to {}: {cause}; run client why to find the cause",
                port.url()
            ),
            "",
        ]);
    }

    #[test]
    fn a_file_holds_the_frames_without_the_prompts() {
        let (server, url) = Fake::start();
        let connected = format!("connected to {url}; Ctrl-D leaves");
        let (reader, stdout) = pipe().unwrap();
        let mut terminal = Terminal::run(leader(&["talk", &url]), |command| {
            command.stdout(stdout);
        });
        let mut peer = server.accept();
        terminal.shows(&[&connected, "> "]);
        enter(&mut terminal, &mut peer, "5");
        peer.say("\u{1b}five");
        terminal.shows(&[&connected, "> 5", "> "]);
        terminal.keys(CTRL_D);
        assert_eq!(peer.closed().code, CloseCode::Normal);
        assert_eq!(Lines::of("stdout", reader).rest(), ["\u{1b}five"]);
        terminal.ends_with(0);
        terminal.shows(&[&connected, "> 5", "> ", ""]);
    }

    #[test]
    fn a_terminal_without_cursor_keys_still_serves() {
        let (server, url) = Fake::start();
        let mut terminal = Terminal::run(leader(&["talk", &url]), |command| {
            command.env("TERM", "dumb");
        });
        let mut peer = server.accept();
        terminal.shows(&[&format!("connected to {url}; Ctrl-D leaves"), "> "]);
        terminal.keys("5\n");
        assert_eq!(peer.next(), Message::text("5"));
        terminal.keys(CTRL_D);
        peer.say("five");
        assert_eq!(peer.closed().code, CloseCode::Normal);
        terminal.ends_with(0);
    }

    #[test]
    fn a_terminal_that_only_shows_has_no_prompt() {
        let (server, url) = Fake::start();
        let (reader, mut stdin) = pipe().unwrap();
        let mut client = command(&[]);
        client.args(["talk", &url]);
        let mut terminal = Terminal::run(client, |client| {
            client.stdin(reader);
        });
        stdin.write_all(b"5\n").unwrap();
        drop(stdin);
        let mut peer = server.accept();
        assert_eq!(peer.next(), Message::text("5"));
        peer.say("\u{1b}five");
        assert_eq!(peer.closed().code, CloseCode::Normal);
        terminal.ends_with(0);
        terminal.shows(&[r"\u001bfive", ""]);
    }
}
