//! A held connection: pinged once a second, and opened again when it is lost.

use std::convert::Infallible;
use std::mem;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use program::stop::Stop;
use tokio::select;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::shared::{Made, Shared};
use crate::backoff::Backoff;
use crate::net::ending::Ending;
use crate::outage::Outage;
use crate::outage::observed_end::ObservedEnd;

/// Time after which a reply counts as late.
const STALL: Duration = Duration::from_secs(1);

/// Longest pause between two tries with up to [`FEW`] connections, longer in proportion with more:
/// gaps should measure the server rather than the pauses, without flooding the server.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// See [`LONGEST_PAUSE`].
const FEW: u64 = 1000;

/// A held connection.
pub(super) struct HeldConnection {
    shared: Rc<Shared>,
    number: u64,
    /// The current connection.
    made: Option<Made>,
    /// Whether a ping over the current connection was answered.
    is_held: bool,
    /// Whether a ping over any connection was answered.
    was_held: bool,
    was_lost: bool,
    /// Whether the first try to open a connection has ended.
    is_tried: bool,
    last_reply: Instant,
    gap: Option<Gap>,
}

/// The time from a lost connection to the first reply over the next one.
struct Gap {
    outage: Outage,
    /// When the last reply before the gap came.
    since: Instant,
    /// The number of the lost connection at a server with `/probe`.
    number: Option<String>,
    /// Whether the client itself closed the connection.
    is_given_up: bool,
}

impl HeldConnection {
    /// The connection with this number; `made` if it is already open.
    pub(super) fn new(shared: Rc<Shared>, number: u64, made: Option<Made>) -> Self {
        let last_reply = shared.started;
        let (is_held, was_held, was_lost, is_tried) = (false, false, false, false);
        Self { shared, number, made, is_held, was_held, was_lost, is_tried, last_reply, gap: None }
    }

    /// Holds the connection until the stop, then closes it with a closing handshake.
    pub(super) async fn run(mut self, mut stop: Stop) {
        select! {
            biased;
            () = stop.wait() => {}
            () = self.keep() => {}
        }
        self.end().await;
    }

    async fn keep(&mut self) {
        let mut backoff = Backoff::default();
        sleep_until(self.shared.first_opening(self.number)).await;
        loop {
            let mut asked = None;
            let made = match self.made.take() {
                Some(made) => Ok(made),
                None => Box::pin(self.shared.connect(self.number)).await,
            };
            match made {
                Ok(made) => {
                    let begun = Instant::now();
                    self.made = Some(made);
                    let Err(ending) = self.hold().await;
                    self.lost(ending);
                    backoff.held(begun.elapsed());
                }
                Err(cause) => {
                    asked = cause.retry_after();
                    self.shared.stats.borrow_mut().refuse(cause.to_string(), self.was_held);
                }
            }
            self.tried();
            let longest = longest_pause(self.shared.options.connections);
            let pause = backoff.next(rand::random(), None).min(longest);
            sleep(pause + asked.unwrap_or_default()).await;
        }
    }

    /// Pings over the current connection until it ends.
    ///
    /// # Errors
    /// How the connection ended.
    async fn hold(&mut self) -> Result<Infallible, Ending> {
        loop {
            self.ping().await?;
            if !self.is_held {
                self.tried();
                self.joined().await?;
            }
            let next = self.shared.next_ping(self.number, Instant::now());
            let Some(Made { link, .. }) = &mut self.made else { return Err(Ending::Stopped) };
            link.wait_until(next).await?;
        }
    }

    async fn ping(&mut self) -> Result<(), Ending> {
        let Self { made: Some(made), shared, last_reply, .. } = self else {
            return Err(Ending::Stopped);
        };
        let patience = shared.options.patience;
        let mut answer = pin!(made.link.ping(patience));
        match timeout(STALL.min(patience), &mut answer).await {
            Ok(answer) => _ = answer?,
            Err(_) => {
                let waiting = Waiting::begin(shared);
                answer.await?;
                drop(waiting);
                if self.is_held {
                    shared.stats.borrow_mut().stalled(last_reply.elapsed());
                }
            }
        }
        // `joined` records a reply that ends a gap.
        if self.gap.is_none() {
            *last_reply = Instant::now();
        }
        Ok(())
    }

    /// Records the first reply over a connection, and the end of the gap before.
    async fn joined(&mut self) -> Result<(), Ending> {
        let now = Instant::now();
        let Some(Made { link, connection, instance }) = &mut self.made else {
            return Err(Ending::Stopped);
        };
        self.is_held = true;
        self.last_reply = now;
        let gap = self.gap.take();
        let length = gap.as_ref().map(|gap| now.duration_since(gap.since));
        self.shared.stats.borrow_mut().joined(instance.as_ref(), !self.was_held, length);
        self.was_held = true;
        let Shared { options, printer, .. } = &*self.shared;
        let url = options.endpoint.url.to_string();
        connection.instance = instance.as_deref().map(str::to_owned);
        let fields = connection.fields(&url, Some(connection.age()));
        printer.record_at("connection", connection.at(), &fields).await;
        let Some(Gap { mut outage, number, is_given_up, .. }) = gap else { return Ok(()) };
        outage.length = now.duration_since(outage.began);
        outage.is_over = true;
        outage.after = instance.as_deref().map(str::to_owned);
        printer.record_at("outage", outage.began_at(), &outage.fields()).await;
        if let Some(number) = number.filter(|_| outage.before == outage.after) {
            let end = link.ask_for_end(&number, options.patience).await?;
            self.shared.stats.borrow_mut().seen_by_server(&end, is_given_up);
        }
        Ok(())
    }

    /// Records the end of the first try: a reply, or a failure.
    fn tried(&mut self) {
        if !mem::replace(&mut self.is_tried, true) {
            self.shared.stats.borrow_mut().tried();
        }
    }

    /// Records the end of the current connection.
    fn lost(&mut self, ending: Ending) {
        let now = Instant::now();
        let Some(Made { link, instance, .. }) = self.made.take() else { return };
        let mut stats = self.shared.stats.borrow_mut();
        let reason = ending.to_string();
        match ObservedEnd::of(&ending) {
            Some(seen) if self.is_held => {
                let cut = link.activity().cut(now);
                stats.survived(link.activity().survived());
                let at = now.duration_since(self.shared.started);
                stats.lost(at, seen, cut, instance.as_ref(), !self.was_lost);
                self.was_lost = true;
                let silent =
                    if seen == ObservedEnd::Silence { cut.silent_received } else { Duration::ZERO };
                let began = now.checked_sub(silent).unwrap_or(now);
                let (length, is_over) = (Duration::ZERO, false);
                let (before, after) = (instance.as_deref().map(str::to_owned), None);
                let cut = Some(cut);
                let outage = Outage { seen, reason, began, length, cut, before, after, is_over };
                let number = link.hello().map(|hello| hello.connection.into_owned());
                let (since, is_given_up) = (self.last_reply, ending.close().is_some());
                self.gap = Some(Gap { outage, since, number, is_given_up });
            }
            // No ping over this connection was answered.
            _ => stats.refuse(reason, self.was_held),
        }
        self.is_held = false;
        // The next connection need not wait for the closing handshake of this one.
        tokio::spawn(async move { link.close(&ending).await });
    }

    /// Records what is unfinished at the end of the probe, and closes the connection.
    async fn end(mut self) {
        let now = Instant::now();
        if let Some(Gap { mut outage, since, .. }) = self.gap.take() {
            outage.length = now.duration_since(outage.began);
            self.shared.stats.borrow_mut().unfinished(now.duration_since(since));
            self.shared.printer.record_at("outage", outage.began_at(), &outage.fields()).await;
        }
        if let Some(Made { link, .. }) = self.made {
            if self.is_held {
                let mut stats = self.shared.stats.borrow_mut();
                stats.survived(link.activity().survived());
                stats.record_survivor(link.activity().cut(now).age);
            }
            link.close(&Ending::Stopped).await;
        }
    }
}

/// Longest pause between two tries, with this many connections.
fn longest_pause(connections: u64) -> Duration {
    LONGEST_PAUSE.mul_f64((connections as f64 / FEW as f64).max(1.0))
}

/// Counts a connection as waiting for a late reply, until dropped.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.stats.borrow_mut().wait(true);
        Self(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.stats.borrow_mut().wait(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_connections_pause_longer() {
        for (connections, seconds) in [(1, 2), (1000, 2), (10_000, 20)] {
            assert_eq!(longest_pause(connections), Duration::from_secs(seconds));
        }
    }
}
