//! The loop that never gives the server up.

use std::pin::{Pin, pin};

use program::stop::Stop;
use proto::Ping;
use proto::ping::PING;
use tokio::select;
use tokio::time::sleep;
use tokio_tungstenite::WebSocketStream;

use crate::backoff::Backoff;
use crate::connect::connect;
use crate::ending::Ending;
use crate::output::{self, Output};
use crate::record::Record;
use crate::session::{Pings, Session};
use crate::settings::Settings;
use crate::stats::Stats;
use crate::stream::Stream;
use crate::tls::Trust;
use crate::url::ServerUrl;

/// Pings the server until told to stop, then prints the statistics.
///
/// # Errors
/// When stdout takes no more lines.
pub async fn run(settings: &Settings, mut stop: Stop) -> Result<(), String> {
    let unwritable = |error| format!("cannot write to stdout: {error}");
    let (output, mut writer) = output::stdout().and_then(Output::start).map_err(unwritable)?;
    let stats = Stats::new().map_err(|error| format!("cannot count: {error}"))?;
    let mut client = Client::new(settings, Record::new(settings.server_url.clone(), output, stats));
    let over = async {
        select! {
            () = stop.wait() => None,
            error = writer.failed() => Some(error),
        }
    };
    let failed = client.ping_until(pin!(over)).await;
    match failed {
        Some(error) => Err(unwritable(error)),
        None => client.record.finish(writer).await.map_err(unwritable),
    }
}

struct Client {
    url: ServerUrl,
    trust: Trust,
    pings: Pings,
    backoff: Backoff,
    record: Record,
}

impl Client {
    fn new(settings: &Settings, record: Record) -> Self {
        let ping = Ping { client_name: settings.client_name().into(), message: PING.into() };
        let pings = Pings {
            text: ping.to_json().into(),
            lag: settings.lag_time,
            patience: settings.pong_timeout,
        };
        let (url, trust) = (settings.server_url.clone(), settings.trust());
        let record = record.warning(trust.is_blind(&url));
        Self { url, trust, pings, backoff: Backoff::default(), record }
    }

    /// Connects, pings, and begins again, until it is `over`; returns what that yields.
    async fn ping_until<T>(&mut self, mut over: Pin<&mut impl Future<Output = T>>) -> T {
        loop {
            let connected = select! {
                biased;
                outcome = &mut over => return outcome,
                connected = connect(&self.url, &self.trust) => connected,
            };
            match connected {
                Ok(socket) => {
                    if let Some(outcome) = self.use_up(socket, over.as_mut()).await {
                        return outcome;
                    }
                }
                Err(cause) => self.lost(&format!("cannot connect to {}: {cause}", self.url)),
            }
            let pause = self.backoff.next(rand::random());
            select! {
                biased;
                outcome = &mut over => return outcome,
                () = sleep(pause) => {}
            }
        }
    }

    /// Pings over one connection to its end; returns an outcome if it is all `over`.
    async fn use_up<T>(
        &mut self,
        socket: WebSocketStream<Stream>,
        over: Pin<&mut impl Future<Output = T>>,
    ) -> Option<T> {
        let mut session = Session::new(socket, self.pings.clone());
        let ending = select! {
            biased;
            outcome = over => {
                session.part(&Ending::Stopped, &mut self.record).await;
                return Some(outcome);
            }
            ending = session.run(&mut self.record) => ending,
        };
        self.lost(&format!("lost the connection to {}: {ending}", self.url));
        session.part(&ending, &mut self.record).await;
        None
    }

    fn lost(&mut self, event: &str) {
        if self.record.lost_connection(event) {
            self.backoff.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backoff::{FIRST, LONGEST};
    use crate::output::tests::Writes;
    use clap::Parser;
    use std::time::Duration;
    use tokio::net::TcpSocket;
    use tokio::time::Instant;

    fn client(url: &str) -> Client {
        let settings = Settings::try_parse_from(["client", "--server-url", url]).unwrap();
        let (output, _writer) = Output::start(Writes::channel().0).unwrap();
        let record = Record::new(settings.server_url.clone(), output, Stats::new().unwrap());
        Client::new(&settings, record)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_without_a_server_tries_on_and_stops_at_once() {
        let nobody = TcpSocket::new_v4().unwrap();
        nobody.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let mut client = client(&format!("ws://{}", nobody.local_addr().unwrap()));
        let start = Instant::now();
        let hour = Duration::from_secs(3600);
        let over = async {
            sleep(hour).await;
            "over"
        };
        assert_eq!(client.ping_until(pin!(over)).await, "over");
        assert_eq!(start.elapsed(), hour);
        assert_eq!(client.backoff.next(1.0), LONGEST);
    }

    #[tokio::test]
    async fn the_pauses_begin_anew_after_a_pong() {
        let mut client = client("ws://server");
        for tries in 0..10 {
            client.lost("no server");
            let bound = client.backoff.next(1.0);
            assert!(bound == FIRST * (1 << tries) || bound == LONGEST, "{bound:?}");
        }
        client.record.received("Error: no room", Some(Duration::ZERO)).await;
        client.lost("no room");
        assert_eq!(client.backoff.next(1.0), LONGEST);
        client.record.received("Pong!", Some(Duration::ZERO)).await;
        client.lost("gone");
        assert_eq!(client.backoff.next(1.0), FIRST);
    }
}
