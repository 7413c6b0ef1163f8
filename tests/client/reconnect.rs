//! Servers that are away, go, come back, or do not behave.

use std::io::Write;

use rustix::process::Signal;

use crate::client::Client;
use crate::fake::{Fake, Peer, Port, drain, pong, read_frame};
use crate::handshake::{cause, lost};

/// Lets a client ping once and stops it; returns the line with the counts, with that ping as lost.
fn finish(mut client: Client, mut peer: Peer) -> String {
    peer.ping();
    client.signal(Signal::TERM);
    peer.closed();
    client.stopped().swap_remove(1)
}

#[test]
fn a_client_that_starts_first_waits_for_its_server() {
    let port = Port::reserve();
    let url = port.url();
    let client = Client::start(&url, &[]);
    assert_eq!(cause(&client, &url), "Connection refused (os error 111)");
    let server = port.listen();
    let mut peer = server.accept();
    peer.pong();
    let event = client.stderr.next_event();
    assert!(event.starts_with(&format!("INFO connected to {url} after ")), "{event}");
    assert!(finish(client, peer).starts_with("2 sent, 1 received, 1 lost (50%), 0 reconnects, "));
}

#[test]
fn a_restart_is_told_once_each_way() {
    let port = Port::reserve();
    let url = port.url();
    let client = Client::start(&url, &[("LAG_TIME", "3600")]);
    let mut server = port.listen();
    let mut peer = server.accept();
    peer.pong();
    assert_eq!(client.stderr.next_event(), format!("INFO connected to {url}"));
    for _ in 0..2 {
        peer.close(1001, "the server stops");
        drop(server);
        assert_eq!(lost(&client, &url), "closed by the server (1001: the server stops)");
        server = port.listen();
        // A server that drops its connections is not back yet.
        for _ in 0..3 {
            server.accept().close(1013, "not yet");
        }
        peer = server.accept();
        peer.pong();
        let event = client.stderr.next_event();
        assert!(event.starts_with("INFO connected again after "), "{event}");
    }
    let statistics = client.stop(Signal::INT);
    // Each server that was not back yet took a ping along.
    assert!(
        statistics[1].starts_with("9 sent, 3 received, 6 lost (66.7%), 2 reconnects, "),
        "{statistics:?}"
    );
}

#[test]
fn a_pong_that_does_not_come_is_lost_and_so_is_the_connection() {
    let (server, url, client) = Fake::with_client(&[("PONG_TIMEOUT", "4")]);
    let mut peer = server.accept();
    peer.pong();
    assert_eq!(client.stdout.next_reply(), "Pong!");
    assert_eq!(client.stderr.next_event(), format!("INFO connected to {url}"));
    peer.ping();
    let goodbye = peer.closed();
    assert_eq!((u16::from(goodbye.code), goodbye.reason.as_str()), (1008, "no Pong within 4s"));
    assert_eq!(lost(&client, &url), "no Pong within 4s");
    let mut peer = server.accept();
    peer.pong();
    assert_eq!(client.stdout.next_reply(), "Pong!");
    assert!(client.stderr.next_event().starts_with("INFO connected again after "));
    assert!(finish(client, peer).starts_with("4 sent, 2 received, 2 lost (50%), 1 reconnect, "));
}

#[test]
fn a_connection_that_ends_without_a_close_frame_is_lost() {
    let (server, url, client) = Fake::with_client(&[]);
    let (mut stream, _) = server.accept_raw();
    read_frame(&mut stream);
    drop(stream);
    assert_eq!(lost(&client, &url), "the server left without a Close frame");
    server.accept().pong();
}

#[test]
fn a_server_that_breaks_the_protocol_gets_the_close_code() {
    for (frame, code) in [
        (&[0xf1, 0][..], 1002_u16),
        (&[0x81, 0x80, 1, 2, 3, 4], 1002),
        (&[0x82, 1, 0], 1003),
        (&[0x81, 1, 0xff], 1007),
        (&[0x81, 127, 0, 0, 0, 0, 1, 0, 0, 1], 1009),
        (&[0x81, 127, 255, 255, 255, 255, 255, 255, 255, 255], 1009),
    ] {
        let (server, _, client) = Fake::with_client(&[("LAG_TIME", "3600")]);
        let (mut stream, _) = server.accept_raw();
        pong(&mut stream);
        assert_eq!(client.stdout.next_reply(), "Pong!");
        stream.write_all(frame).unwrap();
        let (first, payload) = read_frame(&mut stream);
        assert_eq!((first, &payload[..2]), (0x88, &code.to_be_bytes()[..]), "{frame:?}");
        drain(stream);
        assert!(client.stderr.next_event().starts_with("INFO connected to "));
        let event = client.stderr.next_event();
        assert!(event.contains(&format!("closed with {code}: ")), "{event}");
        server.accept();
    }
}
