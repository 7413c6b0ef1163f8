//! Further connections, opened once a second and closed at once: to which instances new connections
//! go, and whether they are refused.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::shared::{Made, Shared};
use crate::net::ending::Ending;

/// Time from one further connection to the next.
const PERIOD: Duration = Duration::from_secs(1);

/// Opens a connection each second, once all that are to be held have been tried.
pub(super) async fn open_each_second(shared: &Shared) {
    loop {
        let next = Instant::now() + PERIOD;
        if shared.stats.borrow().is_opened() {
            match Box::pin(shared.connect(shared.options.connections)).await {
                Ok(Made { link, instance, .. }) => {
                    shared.stats.borrow_mut().new_connection(instance);
                    tokio::spawn(async move { link.close(&Ending::Stopped).await });
                }
                Err(cause) => shared.stats.borrow_mut().refuse(cause.to_string(), true),
            }
        }
        sleep_until(next).await;
    }
}
