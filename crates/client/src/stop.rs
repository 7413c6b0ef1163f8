//! Shutdown as a value: whoever holds a [`Stop`] can wait for it.

use tokio::sync::watch;

/// Tells the [`Stop`] that the time has come; so does dropping it.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// Knows whether the client is to stop.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

/// A pair of the one that tells and the one that is told.
#[must_use]
pub fn channel() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Tells it.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Waits for the stop.
    pub async fn wait(&mut self) {
        // An error means that the stopper is gone, and with it the one who would keep this going.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }
}
