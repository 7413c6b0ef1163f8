use super::*;
use crate::backoff::{FIRST, LONGEST};
use crate::net::{Address, Phases};
use crate::stdout::tests::Writes;
use futures_util::{SinkExt, StreamExt};
use std::cell::RefCell;
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

const HOUR: Duration = Duration::from_secs(3600);

fn endpoint() -> Endpoint {
    Endpoint::new("ws://server".parse().unwrap())
}

/// Pings for an hour of paused time over the connections of `connect`. Returns the time of each
/// attempt.
async fn hour_with<C>(lag: Duration, connect: C) -> Vec<Duration>
where
    C: AsyncFn() -> Result<WebSocketStream<DuplexStream>, ConnectError>,
{
    let start = Instant::now();
    let tries = RefCell::new(Vec::new());
    let options = Options {
        endpoint: endpoint(),
        client_name: "Client-100".into(),
        lag,
        pong_timeout: Duration::from_secs(10),
        style: Some(Style::Plain),
        limits: Limits::default(),
        with_frames: false,
        conditions: Conditions::default(),
        metrics: None,
    };
    let (output, _writer) = Output::start(Writes::channel().0).unwrap();
    let sinks = options.sinks(output).await.unwrap();
    let mut pinger = Pinger {
        connect: async || {
            tries.borrow_mut().push(start.elapsed());
            let address = Address::Tcp(([192, 0, 2, 1], 80).into());
            connect().await.map(|socket| Connected { socket, address, phases: Phases::default() })
        },
        pings: options.pings(),
        choice: Choice::begin(false, false),
        backoff: Backoff::default(),
        reporter: Reporter::new(&options.endpoint, options.limits, sinks, Stats::new().unwrap()),
    };
    assert_eq!(pinger.ping_until(pin!(async { sleep(HOUR).await })).await, Some(()));
    assert_eq!(start.elapsed(), HOUR);
    drop(pinger);
    tries.into_inner()
}

/// A connection to a server that answers this many pings and then closes.
async fn answering(pongs: usize) -> WebSocketStream<DuplexStream> {
    let (near, far) = tokio::io::duplex(4096);
    tokio::spawn(async move {
        let mut server = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
        for _ in 0..pongs {
            assert!(server.next().await.is_some_and(|message| message.unwrap().is_text()));
            server.send(Message::text("Pong!")).await.unwrap();
        }
        let _ = server.close(None).await;
        while let Some(Ok(_)) = server.next().await {}
    });
    WebSocketStream::from_raw_socket(near, Role::Client, None).await
}

/// The mean time between two attempts, over the last `count`.
fn mean_pause(tries: &[Duration], count: usize) -> Duration {
    let last = &tries[tries.len() - count..];
    (last[count - 1] - last[0]) / (count as u32 - 1)
}

#[tokio::test(start_paused = true)]
async fn attempts_to_an_unavailable_server_back_off() {
    let tries = hour_with(Duration::ZERO, async || Err("connection refused".into())).await;
    assert!(tries[1] <= FIRST);
    let pause = mean_pause(&tries, 100);
    assert!(pause > LONGEST / 3 && pause < LONGEST * 2 / 3, "{pause:?}");
}

#[tokio::test(start_paused = true)]
async fn attempts_to_a_server_that_closes_after_one_reply_back_off() {
    let tries = hour_with(Duration::from_secs(10), async || Ok(answering(1).await)).await;
    let pause = mean_pause(&tries, 100);
    assert!(pause > LONGEST / 3, "{pause:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_lasted_is_reopened_at_once() {
    let held = Duration::from_secs(20);
    let tries = hour_with(held, async || Ok(answering(2).await)).await;
    // Paused time may advance before the writer thread of stdout starts to run.
    let stdout = Duration::from_secs(1);
    for pair in tries.windows(2) {
        assert!(pair[1] - pair[0] <= held + FIRST + stdout, "{pair:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_retry_time_of_a_server_is_respected() {
    let retry_after = Duration::from_secs(60);
    let tries = hour_with(Duration::ZERO, async || {
        Err(ConnectError::refused("too many".into(), Some(retry_after)))
    });
    let tries = tries.await;
    assert!(tries.len() > 50, "{}", tries.len());
    for pair in tries.windows(2) {
        assert!(pair[1] - pair[0] >= retry_after, "{pair:?}");
    }
}
