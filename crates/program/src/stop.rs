//! The stop of a program as a value: whoever holds a [`Stop`] can wait for it.

use tokio::sync::watch;

/// Ends the wait of every [`Stop`], also when dropped.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// Knows whether the program is to stop.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

/// A connected pair: [`Stopper::stop`] ends [`Stop::wait`].
#[must_use]
pub fn channel() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Ends the wait of every [`Stop`].
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Waits for the stop.
    pub async fn wait(&mut self) {
        // An error means that the stopper was dropped, which is a stop too.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }

    /// Whether the program is to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.0.borrow()
    }
}
