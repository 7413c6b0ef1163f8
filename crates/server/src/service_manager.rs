//! Notifications to the service manager (`sd_notify(3)`), if there is one: systemd sets
//! `NOTIFY_SOCKET` for a unit of `Type=notify`.

use program::stop::Stop;
use sd_notify::NotifyState;
use tracing::warn;

/// Notifies that the server is ready, and at the stop that it is stopping.
pub(crate) async fn notify_states(mut stop: Stop) {
    notify(NotifyState::Ready);
    stop.wait().await;
    notify(NotifyState::Stopping);
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!("the service manager at NOTIFY_SOCKET cannot be told: {error}");
    }
}
