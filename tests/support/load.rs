//! Load: clients that ping as fast as they can, and count the replies.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use super::raw::is_over;
use super::{PATIENCE, RawClient, close, first, ping_frame, wait_until};

/// Clients that ping, each in a thread.
#[derive(Debug)]
pub(crate) struct Load {
    clients: Vec<JoinHandle<Tally>>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    finish: AtomicBool,
    acknowledged: AtomicUsize,
    refused: AtomicUsize,
}

/// The results of the pings of one client. The message of a ping is its number.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) name: String,
    pub(crate) sent: usize,
    /// The pings that got a `Pong!`.
    pub(crate) acknowledged: Vec<usize>,
    /// The pings that got an `Error: `, the last of which is in `error`.
    pub(crate) refused: Vec<usize>,
    pub(crate) error: Option<String>,
    /// The code of the server's Close frame.
    pub(crate) close_code: Option<u16>,
}

impl Load {
    /// Starts clients named `PREFIX-NUMBER`. Each sends `in_flight` pings in one write, waits for
    /// the replies, and repeats this until [`Self::finish`] or the end of its connection.
    #[track_caller]
    pub(crate) fn start(
        address: SocketAddr,
        prefix: &str,
        clients: usize,
        in_flight: usize,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let clients = (0..clients)
            .map(|number| {
                let client = RawClient::upgraded(address);
                let tally = Tally { name: format!("{prefix}-{number}"), ..Tally::default() };
                let shared = Arc::clone(&shared);
                thread::spawn(move || work(client, tally, in_flight, &shared))
            })
            .collect();
        Self { clients, shared }
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until `more` further pings were acknowledged.
    #[track_caller]
    pub(crate) fn wait_for(&self, more: usize) {
        let goal = self.acknowledged() + more;
        wait_until("pings are acknowledged", || self.acknowledged() >= goal);
    }

    /// Waits until `more` further pings were refused.
    #[track_caller]
    pub(crate) fn wait_for_refused(&self, more: usize) {
        let refused = || self.shared.refused.load(Ordering::Relaxed);
        let goal = refused() + more;
        wait_until("pings are refused", || refused() >= goal);
    }

    /// Waits for the last replies to the clients, which then disconnect.
    pub(crate) fn finish(self) -> Vec<Tally> {
        self.shared.finish.store(true, Ordering::Relaxed);
        self.ended()
    }

    /// Waits until the server has ended every connection.
    pub(crate) fn ended(self) -> Vec<Tally> {
        self.clients.into_iter().map(|client| client.join().expect("a client")).collect()
    }
}

fn work(mut client: RawClient, mut tally: Tally, in_flight: usize, shared: &Shared) -> Tally {
    while !shared.finish.load(Ordering::Relaxed) {
        let numbers = tally.sent..tally.sent + in_flight;
        let pings = numbers.map(|number| ping_frame(&tally.name, &number.to_string()));
        // If the write fails, replies may have arrived before.
        let sent = client.try_send(&pings.collect::<Vec<_>>().concat());
        tally.sent += in_flight;
        let over = !take_replies(&mut client, &mut tally, shared);
        if over || sent.is_err() {
            return tally;
        }
    }
    let _ = client.try_send(&close(1000));
    while client.try_frame().is_ok() {}
    tally
}

/// Reads the replies to everything that was sent; `false` if the connection is over.
fn take_replies(client: &mut RawClient, tally: &mut Tally, shared: &Shared) -> bool {
    while tally.acknowledged.len() + tally.refused.len() < tally.sent {
        let number = tally.acknowledged.len() + tally.refused.len();
        match client.try_frame() {
            Ok(frame) if frame.first == first::CLOSE => {
                tally.close_code = frame.close_code();
                let _ = client.try_send(&close(1000));
                return false;
            }
            Ok(frame) if frame.text() == "Pong!" => {
                tally.acknowledged.push(number);
                shared.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Ok(frame) => {
                let text = frame.text();
                assert!(text.starts_with("Error: "), "{text}");
                tally.refused.push(number);
                tally.error = Some(text.to_owned());
                shared.refused.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) if is_over(&error) => return false,
            Err(error) => panic!("no reply to ping {number} within {PATIENCE:?}: {error}"),
        }
    }
    true
}
