//! A connection that is held: pinged once a second, and made again when it is lost.

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
use crate::outage::seen::Seen;
use crate::probe::crowd::instance::Instance;

/// Time after which a ping without a reply is told.
const STALL: Duration = Duration::from_secs(1);

/// Longest pause between two tries of up to [`FEW`] connections, and of others in proportion: gaps
/// are to tell of the server rather than of the pauses, and a server is not to be flooded.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// See [`LONGEST_PAUSE`].
const FEW: u64 = 1000;

/// A connection of the fleet.
pub(super) struct Member {
    shared: Rc<Shared>,
    number: u64,
    /// The present connection.
    made: Option<Made>,
    /// Whether a ping over the present connection was answered.
    is_held: bool,
    /// Whether there was a reply, over any connection.
    was_held: bool,
    was_lost: bool,
    last_reply: Instant,
    gap: Option<Gap>,
}

/// A time without a connection.
struct Gap {
    outage: Outage,
    /// The last reply before.
    since: Instant,
    before: Option<Instance>,
    /// The number of the connection before, at a server with `/probe`.
    number: Option<String>,
    /// Whether the client gave the connection up.
    is_given_up: bool,
}

impl Member {
    /// The connection with this number, which may have been made already.
    pub(super) fn new(shared: Rc<Shared>, number: u64, made: Option<Made>) -> Self {
        let last_reply = shared.started;
        let (is_held, was_held, was_lost) = (false, false, false);
        Self { shared, number, made, is_held, was_held, was_lost, last_reply, gap: None }
    }

    /// Keeps the connection until the stop, and closes it in good order.
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
        sleep_until(self.shared.first_moment(self.number)).await;
        let mut is_first = true;
        loop {
            let mut asked = None;
            let made = match self.made.take() {
                Some(made) => Ok(made),
                None => Box::pin(self.shared.connect(self.number)).await,
            };
            if is_first {
                self.shared.fleet.borrow_mut().tried();
                is_first = false;
            }
            match made {
                Ok(made) => {
                    let begun = Instant::now();
                    self.made = Some(made);
                    let ending = self.hold().await;
                    self.lost(ending);
                    backoff.held(begun.elapsed());
                }
                Err(cause) => {
                    asked = cause.retry_after();
                    self.shared.fleet.borrow_mut().refuse(cause.to_string(), self.was_held);
                }
            }
            let longest = longest_pause(self.shared.options.connections);
            let pause = backoff.next(rand::random(), None).min(longest);
            sleep(pause + asked.unwrap_or_default()).await;
        }
    }

    /// Pings over the present connection until it ends.
    async fn hold(&mut self) -> Ending {
        loop {
            if let Err(ending) = self.ping().await {
                return ending;
            }
            if !self.is_held
                && let Err(ending) = self.joined().await
            {
                return ending;
            }
            let next = self.shared.next_ping(self.number, Instant::now());
            let Some(Made { link, .. }) = &mut self.made else { return Ending::Stopped };
            if let Err(ending) = link.wait_until(next).await {
                return ending;
            }
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
                    shared.fleet.borrow_mut().stalled(last_reply.elapsed());
                }
            }
        }
        // A reply that ends a gap is told with that.
        if self.gap.is_none() {
            *last_reply = Instant::now();
        }
        Ok(())
    }

    /// The first reply over a connection came.
    async fn joined(&mut self) -> Result<(), Ending> {
        let now = Instant::now();
        let Some(Made { link, connection, instance }) = &mut self.made else {
            return Err(Ending::Stopped);
        };
        self.is_held = true;
        self.last_reply = now;
        let gap = self.gap.take();
        let length = gap.as_ref().map(|gap| now.duration_since(gap.since));
        self.shared.fleet.borrow_mut().joined(instance.as_ref(), !self.was_held, length);
        self.was_held = true;
        let Shared { options, printer, .. } = &*self.shared;
        let url = options.endpoint.url.to_string();
        connection.instance = instance.as_deref().map(str::to_owned);
        let fields = connection.fields(&url, Some(connection.age()));
        printer.record_at("connection", connection.at(), &fields).await;
        let Some(Gap { mut outage, before, number, is_given_up, .. }) = gap else { return Ok(()) };
        outage.length = now.duration_since(outage.began);
        outage.is_over = true;
        outage.after = instance.as_deref().map(str::to_owned);
        printer.record_at("outage", outage.began_at(), &outage.fields()).await;
        if let Some(number) = number.filter(|_| before == *instance) {
            let end = link.ask_for_end(&number, options.patience).await?;
            self.shared.fleet.borrow_mut().heard(&end, is_given_up);
        }
        Ok(())
    }

    /// The present connection ended.
    fn lost(&mut self, ending: Ending) {
        let now = Instant::now();
        let Some(Made { link, instance, .. }) = self.made.take() else { return };
        let mut fleet = self.shared.fleet.borrow_mut();
        let reason = ending.to_string();
        match Seen::of(&ending) {
            Some(seen) if self.is_held => {
                let cut = link.activity().cut(now);
                fleet.survived(link.activity().survived());
                fleet.lost(now, seen, cut, instance.as_ref(), !self.was_lost);
                self.was_lost = true;
                let silent =
                    if seen == Seen::Silence { cut.silent_received } else { Duration::ZERO };
                let began = now.checked_sub(silent).unwrap_or(now);
                let (length, is_over) = (Duration::ZERO, false);
                let (before, after) = (instance.as_deref().map(str::to_owned), None);
                let cut = Some(cut);
                let outage = Outage { seen, reason, began, length, cut, before, after, is_over };
                let number = link.hello().map(|hello| hello.connection.into_owned());
                let (since, before) = (self.last_reply, instance);
                let is_given_up = ending.close().is_some();
                self.gap = Some(Gap { outage, since, before, number, is_given_up });
            }
            // Connected, and never answered.
            _ => fleet.refuse(reason, self.was_held),
        }
        self.is_held = false;
        // The next connection need not wait for the closing handshake of this one.
        tokio::spawn(async move { link.close(&ending).await });
    }

    /// Ends the connection, and what is told of it.
    async fn end(mut self) {
        let now = Instant::now();
        if let Some(Gap { mut outage, since, .. }) = self.gap.take() {
            outage.length = now.duration_since(outage.began);
            self.shared.fleet.borrow_mut().unfinished(now.duration_since(since));
            self.shared.printer.record_at("outage", outage.began_at(), &outage.fields()).await;
        }
        if let Some(Made { link, .. }) = self.made {
            if self.is_held {
                let mut fleet = self.shared.fleet.borrow_mut();
                fleet.survived(link.activity().survived());
                fleet.outlived(link.activity().cut(now).age);
            }
            link.close(&Ending::Stopped).await;
        }
    }
}

/// Longest pause between two tries, of so many connections.
fn longest_pause(connections: u64) -> Duration {
    LONGEST_PAUSE.mul_f64((connections as f64 / FEW as f64).max(1.0))
}

/// Counts a connection among those that wait for a reply.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.fleet.borrow_mut().wait(true);
        Self(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fleet.borrow_mut().wait(false);
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
