//! The number of outstanding replies.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// The number of lines sent and not answered yet. Frames carry no reference to a line: each frame
/// counts as one reply, and a frame that arrives while no reply is outstanding is ignored.
#[derive(Debug, Default)]
pub(crate) struct Awaited(watch::Sender<u64>);

impl Awaited {
    /// A line was sent.
    pub(crate) fn sent(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    /// A frame was received.
    pub(crate) fn received(&self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }

    /// The number of outstanding replies.
    pub(crate) fn count(&self) -> u64 {
        *self.0.borrow()
    }

    /// Waits until no reply is outstanding.
    pub(crate) async fn settled(&self) {
        // `wait_for` fails only if the sender is dropped, and `self` holds the sender.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Waits until no line was sent and no frame received for `patience`.
    pub(crate) async fn silence(&self, patience: Duration) {
        let mut changes = self.0.subscribe();
        while timeout(patience, changes.changed()).await.is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{Instant, sleep};

    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn an_unsolicited_frame_answers_nothing() {
        let awaited = Awaited::default();
        awaited.received();
        awaited.settled().await;
        awaited.sent();
        awaited.sent();
        awaited.received();
        assert_eq!(awaited.count(), 1);
        awaited.received();
        awaited.settled().await;
        assert_eq!(awaited.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn each_frame_restarts_the_silence() {
        let awaited = Awaited::default();
        let start = Instant::now();
        let frames = async {
            for _ in 0..3 {
                sleep(PATIENCE / 2).await;
                awaited.received();
            }
        };
        tokio::join!(awaited.silence(PATIENCE), frames);
        assert_eq!(start.elapsed(), PATIENCE * 5 / 2);
    }
}
