//! How many replies are still to come.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// The number of lines that were sent and not answered yet. Nothing tells which frame answers
/// which line: each counts for one, and one that comes while none is due for nothing.
#[derive(Debug, Default)]
pub(crate) struct Awaited(watch::Sender<u64>);

impl Awaited {
    /// A line was sent.
    pub(crate) fn sent(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    /// A frame came.
    pub(crate) fn received(&self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        *self.0.borrow()
    }

    /// Waits until there are none.
    pub(crate) async fn settled(&self) {
        // An error would mean that this very sender is gone.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Waits until neither a line was sent nor a frame came for as long as this.
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
    async fn a_frame_that_nobody_asked_for_answers_nothing() {
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
    async fn each_frame_begins_the_silence_anew() {
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
