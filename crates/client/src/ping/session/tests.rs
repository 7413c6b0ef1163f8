use super::*;
use crate::net::Endpoint;
use crate::ping::limits::Limits;
use crate::ping::lines::Style;
use crate::ping::live::Live;
use crate::ping::metrics::Metrics;
use crate::ping::reporter::Sinks;
use crate::ping::stats::Stats;
use crate::stdout::Output;
use crate::stdout::tests::Writes;
use proto::limits::CLOSE_TIMEOUT;
use std::sync::mpsc::Receiver;
use tokio::io::DuplexStream;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::protocol::Role;

type Server = WebSocketStream<DuplexStream>;

const LAG: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(10);

struct Client {
    session: Session<DuplexStream>,
    reporter: Reporter,
    lines: Receiver<String>,
}

impl Client {
    fn report(&self) -> String {
        self.reporter.report().lines().nth(2).unwrap_or_default().to_owned()
    }

    fn printed(&self) -> String {
        let line = self.lines.recv().unwrap();
        line.split_once("server: ").unwrap().1.trim_end().to_owned()
    }
}

async fn pair() -> (Client, Server) {
    let (near, far) = tokio::io::duplex(4096);
    let server = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
    let socket = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
    let pings = Pings { text: "ping".into(), lag: LAG, pong_timeout: PATIENCE, is_probe: false };
    let (writes, lines) = Writes::channel();
    let (output, _writer) = Output::start(writes).unwrap();
    let endpoint = Endpoint::new("ws://server".parse().unwrap());
    let (live, metrics) = (Live::default(), Metrics::default());
    let sinks = Sinks { output, style: Style::Plain, live, metrics };
    let stats = Stats::new().unwrap();
    let reporter = Reporter::new(&endpoint, Limits::default(), sinks, stats);
    let session = Session::new(socket, pings, Choice::begin(false, false));
    (Client { session, reporter, lines }, server)
}

/// Runs the client against `serve`, after which the server closes the connection.
async fn converse(client: &mut Client, server: &mut Server, serve: impl AsyncFnOnce(&mut Server)) {
    let ending = ending_of(client, server, async |server| {
        serve(server).await;
        server.close(None).await.unwrap();
    });
    assert!(matches!(ending.await, Ending::Closed(None)));
}

/// Runs the client against `serve`. Returns how the connection ended.
async fn ending_of(
    client: &mut Client,
    server: &mut Server,
    serve: impl AsyncFnOnce(&mut Server),
) -> Ending {
    tokio::join!(client.session.run(&mut client.reporter), serve(server)).0
}

async fn ping(server: &mut Server) {
    assert_eq!(server.next().await.unwrap().unwrap(), Message::text("ping"));
}

async fn send_text(server: &mut Server, text: &str) {
    server.send(Message::text(text)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_lag_is_between_a_reply_and_the_next_ping() {
    let (mut client, mut server) = pair().await;
    converse(&mut client, &mut server, async |server| {
        for delay in [Duration::from_secs(1), Duration::ZERO, Duration::from_secs(9)] {
            ping(server).await;
            sleep(delay).await;
            send_text(server, "Pong!").await;
            let replied = Instant::now();
            ping(server).await;
            assert_eq!(replied.elapsed(), LAG);
            send_text(server, "Pong!").await;
        }
    })
    .await;
    assert!(client.report().starts_with("6 sent, 6 received"), "{}", client.report());
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_takes_too_long_ends_the_connection() {
    let (mut client, mut server) = pair().await;
    client.session.choice.is_settled = true;
    let start = Instant::now();
    let ending = ending_of(&mut client, &mut server, async |server| {
        ping(server).await;
        // Frames other than the reply do not extend the time limit.
        for _ in 0..5 {
            sleep(PATIENCE / 6).await;
            server.send(Message::Ping("alive?".into())).await.unwrap();
            assert!(matches!(server.next().await, Some(Ok(Message::Pong(_)))));
        }
    })
    .await;
    assert_eq!(start.elapsed(), PATIENCE);
    assert!(matches!(ending, Ending::NoPong(PATIENCE)));
    send_text(&mut server, "Pong!").await;
    drop(server);
    client.session.close(&ending, &mut client.reporter).await;
    assert!(client.reporter.report().contains("1 sent, 0 received, 1 lost (100%)"));
    assert!(client.lines.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn the_end_is_detected_at_once_between_two_pings() {
    let (mut client, mut server) = pair().await;
    let start = Instant::now();
    converse(&mut client, &mut server, async |server| {
        ping(server).await;
        send_text(server, "Pong!").await;
        server.send(Message::Ping("alive?".into())).await.unwrap();
        assert!(matches!(server.next().await, Some(Ok(Message::Pong(_)))));
    })
    .await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(client.report().starts_with("1 sent, 1 received, 0 lost"), "{}", client.report());
}

#[tokio::test(start_paused = true)]
async fn all_texts_are_printed_but_only_replies_counted() {
    let (mut client, mut server) = pair().await;
    let ending = ending_of(&mut client, &mut server, async |server| {
        ping(server).await;
        send_text(server, "Error: no room").await;
        send_text(server, "by the way").await;
        ping(server).await;
        send_text(server, "Pong!").await;
        server.send(Message::binary(vec![1])).await.unwrap();
    });
    assert!(matches!(ending.await, Ending::Refused(CloseCode::UNSUPPORTED, _)));
    let report = client.report();
    assert!(report.starts_with("2 sent, 1 received, 1 lost (50%), 1 error,"), "{report}");
    assert_eq!(
        ["Error: no room", "by the way", "Pong!"].map(|_| client.printed()),
        ["Error: no room", "by the way", "Pong!"]
    );
}

/// Stops a client that waits for a reply; returns its statistics.
async fn stopped_midway(late: &[&str]) -> String {
    let (mut client, mut server) = pair().await;
    tokio::select! {
        _ = client.session.run(&mut client.reporter) => unreachable!(),
        () = ping(&mut server) => {}
    }
    let Client { session, mut reporter, .. } = client;
    let answer = async {
        for text in late {
            send_text(&mut server, text).await;
        }
        let Some(Ok(Message::Close(Some(frame)))) = server.next().await else { panic!() };
        assert_eq!(u16::from(frame.code), 1000);
        server.next().await;
        drop(server);
    };
    tokio::join!(session.close(&Ending::Stopped, &mut reporter), answer);
    reporter.report()
}

#[tokio::test(start_paused = true)]
async fn a_ping_in_flight_at_the_stop_is_received_or_lost() {
    let start = Instant::now();
    assert!(stopped_midway(&["Pong!"]).await.contains("1 sent, 1 received, 0 lost"));
    assert!(stopped_midway(&[]).await.contains("1 sent, 0 received, 1 lost (100%)"));
    assert!(stopped_midway(&["Pong!", "more"]).await.contains("1 sent, 1 received, 0 lost"));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_the_servers_close_frame_is_bounded() {
    let (mut client, _server) = pair().await;
    let start = Instant::now();
    client.session.close(&Ending::Stopped, &mut client.reporter).await;
    assert_eq!(start.elapsed(), CLOSE_TIMEOUT);
}

/// Answers the next Ping frame.
async fn answer_frame(server: &mut Server) {
    let ping = server.next().await.unwrap().unwrap();
    assert!(matches!(&ping, Message::Ping(payload) if payload.len() == 8), "{ping:?}");
    server.flush().await.unwrap();
}

/// Runs a server that handles the message with `answer`, and then answers some Ping frames. Returns
/// the time to the first Ping frame, and the statistics.
async fn switched(answer: impl AsyncFnOnce(&mut Server)) -> (Duration, String) {
    let (mut client, mut server) = pair().await;
    let start = Instant::now();
    let mut switched = Duration::ZERO;
    converse(&mut client, &mut server, async |server| {
        ping(server).await;
        answer(server).await;
        sleep(LAG / 2).await;
        answer_frame(server).await;
        switched = start.elapsed();
        answer_frame(server).await;
    })
    .await;
    assert_eq!(client.session.choice(), Choice { kind: Kind::Frame, is_settled: true });
    (switched, client.report())
}

#[tokio::test(start_paused = true)]
async fn an_echo_is_no_pong_and_switches_to_ping_frames() {
    for echo in ["ping", "[RE]: ping"] {
        let (time, report) = switched(async |server| send_text(server, echo).await).await;
        assert!(time <= LAG, "{time:?}");
        assert!(report.starts_with("2 sent, 2 received, 0 lost (0%)"), "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_only_ping_frames_switches_to_them() {
    let (time, report) = switched(async |server| answer_frame(server).await).await;
    assert!(time >= PATIENCE, "{time:?}");
    assert!(report.starts_with("2 sent, 2 received, 0 lost (0%)"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn an_unrelated_answer_switches_to_ping_frames_soon() {
    let (time, report) = switched(async |server| {
        send_text(server, "what?").await;
        answer_frame(server).await;
    })
    .await;
    assert!(time < PATIENCE, "{time:?}");
    assert!(report.starts_with("2 sent, 2 received, 0 lost (0%)"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_pong_after_a_ping_frame_is_still_a_pong() {
    let (mut client, mut server) = pair().await;
    converse(&mut client, &mut server, async |server| {
        ping(server).await;
        answer_frame(server).await;
        sleep(PATIENCE / 2).await;
        send_text(server, "Pong!").await;
        ping(server).await;
    })
    .await;
    assert!(client.report().starts_with("1 sent, 1 received"), "{}", client.report());
    assert_eq!(client.session.choice(), Choice { kind: Kind::Message, is_settled: true });
}

#[tokio::test(start_paused = true)]
async fn an_error_is_an_answer_and_changes_nothing() {
    let (mut client, mut server) = pair().await;
    converse(&mut client, &mut server, async |server| {
        for _ in 0..3 {
            ping(server).await;
            send_text(server, "Error: the disk is full").await;
        }
    })
    .await;
    assert!(client.report().starts_with("3 sent, 0 received, 3 lost (100%), 3 errors"));
}

#[tokio::test(start_paused = true)]
async fn binary_frames_of_an_unknown_server_are_shown() {
    let (mut client, mut server) = pair().await;
    client.session.choice = Choice::begin(true, false);
    converse(&mut client, &mut server, async |server| {
        server.send(Message::binary(vec![1, 2])).await.unwrap();
        answer_frame(server).await;
        answer_frame(server).await;
    })
    .await;
    assert_eq!([(); 3].map(|()| client.printed()), ["binary, 2 bytes", "Pong frame", "Pong frame"]);
}

/// The first message of `/probe`.
const HELLO: &str = r#"{"hello":1,"instance":"a-1","started":1.0,"version":"1","connection":"1","request":{"line":"","headers":[]},"peer":"","tls":false,"subprotocol":null,"extensions":null,"silent_for":3600.0}"#;

/// A client for `/probe`, which measures with Ping frames or with requests.
async fn probe_pair(with_frames: bool) -> (Client, Server) {
    let (mut client, server) = pair().await;
    client.session.choice = Choice::begin(with_frames, true);
    client.session.pings.is_probe = true;
    (client, server)
}

/// The number in the next request of `/probe`.
async fn request(server: &mut Server) -> u64 {
    let message = server.next().await.unwrap().unwrap();
    match serde_json::from_str(message.to_text().unwrap()).unwrap() {
        proto::probe::Request::Ping(number) => number,
        other => panic!("not a ping: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn at_probe_the_time_in_the_server_is_reported() {
    let (mut client, mut server) = probe_pair(false).await;
    converse(&mut client, &mut server, async |server| {
        send_text(server, HELLO).await;
        let start = Instant::now();
        for _ in 0..2 {
            let number = request(server).await;
            let arrived = start.elapsed().as_micros();
            // The pong of another ping answers nothing.
            send_text(server, &format!(r#"{{"pong":{},"arrived":1,"left":2}}"#, number + 1)).await;
            sleep(Duration::from_millis(20)).await;
            let left = arrived + 5000;
            let pong = format!(r#"{{"pong":{number},"arrived":{arrived},"left":{left}}}"#);
            send_text(server, &pong).await;
        }
    })
    .await;
    assert!(client.report().starts_with("2 sent, 2 received"), "{}", client.report());
    assert_eq!(client.session.choice(), Choice { kind: Kind::Probe, is_settled: true });
    let report = client.reporter.report();
    assert!(report.contains("\nin the server min/avg/max = 5.000/5.000/5.000 ms\n"), "{report}");
    assert!(report.contains("\ndelay varies from ping to ping by "), "{report}");
    // Each pong follows the unsolicited one.
    let printed = [(); 4].map(|()| client.printed());
    assert_eq!(printed[1], "Pong, 5.000 ms in the server");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_no_probe_is_measured_with_ping_frames() {
    for echo in [true, false] {
        let (mut client, mut server) = probe_pair(false).await;
        converse(&mut client, &mut server, async |server| {
            let number = request(server).await;
            let text = if echo { format!(r#"{{"ping":{number}}}"#) } else { "what?".into() };
            send_text(server, &text).await;
            answer_frame(server).await;
        })
        .await;
        assert_eq!(client.session.choice(), Choice { kind: Kind::Frame, is_settled: true });
    }
}

#[tokio::test(start_paused = true)]
async fn the_hello_of_probe_is_used_and_not_printed_where_ping_frames_measure() {
    let (mut client, mut server) = probe_pair(true).await;
    converse(&mut client, &mut server, async |server| {
        send_text(server, HELLO).await;
        // The answer to the Ping frame leaves with the next read.
        assert!(server.next().await.unwrap().unwrap().is_ping());
        assert!(server.next().await.unwrap().unwrap().is_ping());
        send_text(server, "another text").await;
    })
    .await;
    assert_eq!(client.printed(), "Pong frame");
    assert_eq!(client.printed(), "another text");
}
