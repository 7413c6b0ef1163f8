//! The handshake of the server that breaks one rule.

use std::io::{self, Read};
use std::net::TcpStream;

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A request up to its empty line; `None` if it is refused as too slow.
pub(super) fn read_head(stream: &mut TcpStream, fault: &str) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&bytes[..read]);
        if fault == "request-in-pieces" && !head.ends_with(b"\r\n\r\n") {
            return Ok(None);
        }
    }
    Ok(Some(String::from_utf8(head).unwrap()))
}

/// The answer to a request: 101, or the status and the headers of a refusal.
pub(super) fn answer(head: &str, fault: &str) -> Result<String, (&'static str, &'static str)> {
    const BAD: (&str, &str) = ("400 Bad Request", "");
    let is = |name| fault == name;
    let (start, lines) = head.split_once("\r\n").unwrap();
    let value = |wanted: &str| {
        let mut lines = lines.split("\r\n").filter_map(|line| line.split_once(": "));
        let is_wanted = |name: &str| match is("spelling") {
            true => name == wanted,
            false => name.eq_ignore_ascii_case(wanted),
        };
        lines.find(|(name, _)| is_wanted(name)).map(|(_, value)| value)
    };
    let has = |name, token: &str| {
        value(name).is_some_and(|list| {
            list.split(',').any(|element| element.trim().eq_ignore_ascii_case(token))
        })
    };
    if !start.starts_with("GET ") && !is("post") {
        return Err(("405 Method Not Allowed", "Allow: GET\r\n"));
    }
    if !start.ends_with(" HTTP/1.1") && !is("http-1.0") || value("Host").is_none() && !is("no-host")
    {
        return Err(BAD);
    }
    if !has("Upgrade", "websocket") && !is("other-upgrade") {
        return Err(("200 OK", ""));
    }
    if !has("Connection", "upgrade") && !is("no-connection") {
        return Err(BAD);
    }
    match value("Sec-WebSocket-Version") {
        Some("13") => {}
        None if is("no-version") => {}
        Some(_) if is("version") => return Err(("426 Upgrade Required", "")),
        _ => return Err(("426 Upgrade Required", "Sec-WebSocket-Version: 13, 8\r\n")),
    }
    let key = value("Sec-WebSocket-Key").unwrap_or_default();
    let is_base64 =
        key.trim_end_matches('=').bytes().all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b));
    match key {
        "" => is("no-key"),
        _ if !is_base64 => is("key-not-base64"),
        _ if key.len() != 24 => is("key-short"),
        _ => true,
    }
    .then_some(())
    .ok_or(BAD)?;
    let line = |name, line: &str| if is(name) { String::new() } else { format!("{line}\r\n") };
    let broken = |name, line: &str| if is(name) { format!("{line}\r\n") } else { String::new() };
    let accept = derive_accept_key(if is("accept") { b"other" } else { key.as_bytes() });
    Ok([
        format!("HTTP/1.{} 101 Switching Protocols\r\n", if is("status") { 0 } else { 1 }),
        line("upgrade", "Upgrade: websocket"),
        line("connection", "Connection: Upgrade"),
        format!("Sec-WebSocket-Accept: {accept}\r\n"),
        broken("subprotocol", "Sec-WebSocket-Protocol: chat"),
        broken("extension", "Sec-WebSocket-Extensions: permessage-deflate"),
        "\r\n".into(),
    ]
    .concat())
}
