//! Cases for the rules, including borderline ones.

use proto::frame::{Close, CloseCode};

use super::super::request::Change;
use super::*;

/// A request that offers `chat` and `v2`, with the key of RFC 6455, section 1.3.
fn request() -> Request {
    let subprotocols = vec!["chat".into(), "v2".into()];
    let options = crate::net::upgrade::RequestOptions { subprotocols, ..Default::default() };
    let usual = crate::net::upgrade::request(&"ws://host".parse().unwrap(), &options).unwrap();
    Request::new(&usual, Change::Value("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="))
}

fn head(line: &str, headers: &str) -> Head {
    Head::parse(format!("{line}\r\n{headers}\r\n\r\n").as_bytes()).unwrap()
}

#[test]
fn each_part_of_the_answer_is_judged_alone() {
    for (name, headers, outcome) in [
        (Part::Upgrade, "upgrade: WebSocket", Passed),
        (Part::Upgrade, "Upgrade: websocket, h2c", Failed),
        (Part::Upgrade, "Upgrade: websockets", Failed),
        (Part::Upgrade, "X: websocket", Failed),
        (Part::Connection, "Connection: keep-alive,\tUPGRADE", Passed),
        (Part::Connection, "Connection: a\r\nConnection: upgrade", Passed),
        (Part::Connection, "Connection: keep-alive", Failed),
        (Part::Accept, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", Passed),
        (Part::Accept, "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=", Failed),
        (Part::Accept, "A: b", Failed),
        (Part::Subprotocol, "A: b", Passed),
        (Part::Subprotocol, "Sec-WebSocket-Protocol: v2", Passed),
        (Part::Subprotocol, "Sec-WebSocket-Protocol: chat, v2", Failed),
        (Part::Subprotocol, "Sec-WebSocket-Protocol: Chat", Failed),
        (Part::Subprotocol, "Sec-WebSocket-Protocol:", Failed),
        (Part::Extensions, "Sec-WebSocket-Extensions:", Passed),
        (Part::Extensions, "Sec-WebSocket-Extensions: permessage-deflate", Failed),
    ] {
        let head = head("HTTP/1.1 101 x", headers);
        assert_eq!(part(name, &request(), &head).0, outcome, "{name:?} {headers}");
    }
    for (line, outcome) in
        [("HTTP/1.1 101 x", Passed), ("HTTP/1.0 101 x", Failed), ("HTTP/1.1 200 OK", Failed)]
    {
        assert_eq!(part(Part::Status, &request(), &head(line, "A: b")).0, outcome, "{line}");
    }
}

#[test]
fn a_request_gets_the_answer_that_it_is_due() {
    for (due, line, headers, outcome) in [
        (ExpectedAnswer::Upgrade, "101 x", "", Passed),
        (ExpectedAnswer::Upgrade, "400 x", "", Failed),
        (ExpectedAnswer::Refusal, "400 x", "", Passed),
        (ExpectedAnswer::Refusal, "101 x", "", Failed),
        (ExpectedAnswer::Refusal, "200 OK", "", Failed),
        (ExpectedAnswer::Refusal, "500 x", "", Warned),
        (ExpectedAnswer::Refusal, "302 x", "", Warned),
        // An ordinary request may be served, or not.
        (ExpectedAnswer::NoUpgrade, "200 OK", "", Passed),
        (ExpectedAnswer::NoUpgrade, "405 x", "", Passed),
        (ExpectedAnswer::NoUpgrade, "505 x", "", Passed),
        (ExpectedAnswer::NoUpgrade, "503 x", "", Warned),
        (ExpectedAnswer::NoUpgrade, "101 x", "", Failed),
        (ExpectedAnswer::Versions, "426 x", "Sec-WebSocket-Version: 13", Passed),
        (ExpectedAnswer::Versions, "400 x", "Sec-WebSocket-Version: 8, 13", Passed),
        (ExpectedAnswer::Versions, "426 x", "", Failed),
        (ExpectedAnswer::Versions, "426 x", "Sec-WebSocket-Version: 8", Failed),
        (ExpectedAnswer::Versions, "200 x", "Sec-WebSocket-Version: 13", Warned),
        (ExpectedAnswer::Versions, "101 x", "Sec-WebSocket-Version: 13", Failed),
    ] {
        let head = head(&format!("HTTP/1.1 {line}"), headers);
        assert_eq!(answer(due, &head).0, outcome, "{due:?} {line} {headers}");
    }
}

fn closed(code: u16) -> Option<Ending> {
    Some(Ending::closed(Some(Close { code: CloseCode(code), reason: "".into() })))
}

fn broken() -> Option<Ending> {
    Some(Ending::Refused(CloseCode::PROTOCOL, "opcode 0x3 is reserved".into()))
}

fn judged(expected: &Expected, seen: &Response) -> Outcome {
    frames(expected, seen).0
}

#[test]
fn a_connection_fails_with_the_right_code_or_is_warned_about() {
    let fails =
        |accepted, no_close| Expected::Failed(Failure { codes: &[1002], accepted, no_close });
    for (expected, ending, outcome) in [
        (fails(Failed, Warned), closed(1002), Passed),
        (fails(Failed, Warned), closed(1007), Warned),
        (fails(Failed, Warned), Some(Ending::Closed(None)), Warned),
        (fails(Failed, Warned), Some(Ending::Lost(None)), Warned),
        (fails(Failed, Passed), Some(Ending::Lost(None)), Passed),
        (fails(Failed, Passed), closed(1000), Warned),
        (fails(Failed, Warned), broken(), Failed),
        (fails(Failed, Warned), None, Failed),
        (fails(Warned, Warned), None, Warned),
        (Expected::Limit, closed(1009), Passed),
        (Expected::Limit, closed(1002), Warned),
        (Expected::Limit, None, Warned),
        (Expected::Limit, broken(), Failed),
    ] {
        let shown = format!("{expected:?} {ending:?}");
        assert_eq!(
            judged(&expected, &Response { ending, ..Response::default() }),
            outcome,
            "{shown}"
        );
    }
}

#[test]
fn a_message_is_taken_if_the_server_goes_on_and_returns_it_whole_or_not_at_all() {
    for (goes_on, came_back, ending, outcome) in [
        (true, None, None, Passed),
        (true, Some(true), None, Passed),
        (true, Some(false), None, Failed),
        (false, None, None, Failed),
        // The service may close on a text that it does not know.
        (false, None, closed(1008), Warned),
        (false, None, closed(4400), Warned),
        (false, None, closed(1009), Warned),
        (false, None, closed(1002), Failed),
        (false, None, closed(1007), Failed),
        (false, None, Some(Ending::Lost(None)), Failed),
    ] {
        let shown = format!("{goes_on} {came_back:?} {ending:?}");
        let seen = || Response { goes_on, came_back, ..Response::default() };
        let ended = Response { ending, ..seen() };
        assert_eq!(judged(&Expected::Accepted("x", None), &ended), outcome, "{shown}");
    }
    let seen = |pongs| Response { goes_on: true, pongs, ..Response::default() };
    let expected = Expected::Accepted("x", Some(b"between"));
    assert_eq!(judged(&expected, &seen(vec![b"next".to_vec()])), Failed);
    assert_eq!(judged(&expected, &seen(vec![b"between".to_vec(), b"next".to_vec()])), Passed);
    assert_eq!(judged(&Expected::Pong(b"a"), &seen(vec![b"b".to_vec(), b"a".to_vec()])), Passed);
    assert_eq!(judged(&Expected::Pong(b"a"), &seen(vec![b"ab".to_vec()])), Failed);
}

#[test]
fn a_close_frame_is_answered_and_tcp_ends() {
    let expected = |code| Expected::Closed(code);
    for (code, ending, outcome) in [
        (Some(1000), closed(1000), Passed),
        (Some(1000), closed(1001), Warned),
        (Some(1000), Some(Ending::Closed(None)), Warned),
        (Some(1000), Some(Ending::Lost(None)), Failed),
        (Some(1000), None, Failed),
        (None, Some(Ending::Closed(None)), Passed),
        (None, closed(1000), Passed),
        (None, closed(1002), Warned),
        (None, broken(), Failed),
    ] {
        let shown = format!("{code:?} {ending:?}");
        assert_eq!(
            judged(&expected(code), &Response { ending, ..Response::default() }),
            outcome,
            "{shown}"
        );
    }
    let reset = || Some(TcpEnd::Error(std::io::ErrorKind::ConnectionReset.into()));
    for (expected, end, outcome) in [
        (Expected::End, Some(TcpEnd::Fin), Passed),
        (Expected::End, reset(), Warned),
        (Expected::End, Some(TcpEnd::Open), Failed),
        (Expected::End, None, Failed),
        (Expected::FailedEnd, Some(TcpEnd::Fin), Passed),
        (Expected::FailedEnd, reset(), Passed),
        (Expected::FailedEnd, Some(TcpEnd::Open), Failed),
    ] {
        let shown = format!("{expected:?} {end:?}");
        let ending = closed(1000);
        assert_eq!(
            judged(&expected, &Response { ending, end, ..Response::default() }),
            outcome,
            "{shown}"
        );
    }
}

#[test]
fn received_frames_are_described_with_control_characters_escaped() {
    let patience = Duration::from_secs(2);
    let told = |response: Response| Response { patience, ..response }.told();
    assert_eq!(told(Response::default()), "nothing within 2.0 s");
    let end = Some(TcpEnd::Open);
    let seen = Response { ending: closed(1002), end, ..Response::default() };
    assert_eq!(told(seen), "Close 1002, and TCP was still open after 2.0 s");
    let reason = "\u{1b}[2J".into();
    let ending = Some(Ending::closed(Some(Close { code: CloseCode(1002), reason })));
    assert_eq!(told(Response { ending, ..Response::default() }), r"Close 1002 (\u001b[2J)");
    let pongs = vec![b"PING".to_vec()];
    assert_eq!(told(Response { pongs, ..Response::default() }), "a Pong of 4 bytes, \"PING\"");
    let seen = Response { goes_on: true, ..Response::default() };
    assert_eq!(told(seen), "a Pong to the next Ping: the connection goes on");
}

#[test]
fn a_server_that_sends_much_by_itself_fills_no_memory() {
    let mut seen = Response::default();
    for _ in 0..10_000 {
        seen.keep(Message::Pong(vec![0; 125].into()));
        seen.keep(Message::Text("x".repeat(1000).into()));
        seen.keep(Message::Text("x".repeat(KEPT_TEXT).into()));
    }
    assert_eq!((seen.pongs.len(), seen.texts.len()), (KEPT, KEPT));
}
