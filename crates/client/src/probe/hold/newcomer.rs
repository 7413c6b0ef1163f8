//! Connections that are made once a second and closed at once: where new connections go, and
//! whether they are refused.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::shared::{Made, Shared};
use crate::net::ending::Ending;

/// Time between two newcomers.
const PERIOD: Duration = Duration::from_secs(1);

/// Makes a connection each second, once all connections of the fleet have been tried.
pub(super) async fn come(shared: &Shared) {
    loop {
        let next = Instant::now() + PERIOD;
        if shared.fleet.borrow().is_opened() {
            match Box::pin(shared.connect(shared.options.connections)).await {
                Ok(Made { link, instance, .. }) => {
                    shared.fleet.borrow_mut().newcomer(instance);
                    tokio::spawn(async move { link.close(&Ending::Stopped).await });
                }
                Err(cause) => shared.fleet.borrow_mut().refuse(cause.to_string(), true),
            }
        }
        sleep_until(next).await;
    }
}
