//! What happens to the connection, told on stderr.

use std::io::{self, IsTerminal};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::time::ChronoLocal;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts to tell events. A thread of its own writes them: a stderr that nobody reads must not
/// keep the client from stopping. What is under way is written when the guard is dropped.
pub fn init(filter: Targets) -> WorkerGuard {
    let (stderr, guard) = NonBlockingBuilder::default().lossy(true).finish(io::stderr());
    let format = fmt::layer()
        .with_ansi(io::stderr().is_terminal())
        .with_timer(ChronoLocal::new("%d-%m-%Y %H:%M:%S".into()))
        .with_target(false)
        .with_writer(stderr);
    // Another subscriber is there already only where a program embeds the client.
    let _ = tracing_subscriber::registry().with(format).with(filter).try_init();
    guard
}
