//! Events on stderr.

use std::io::{self, IsTerminal};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
pub use tracing_subscriber::filter::Targets as Filter;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::time::ChronoLocal;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts to write events to stderr, each with its local time.
///
/// A thread of its own writes: where the reader of stderr is too slow, events are left out, and
/// the program goes on. Dropping the guard writes what is still in the queue.
pub fn init(filter: Filter) -> WorkerGuard {
    let (stderr, guard) = NonBlockingBuilder::default().lossy(true).finish(io::stderr());
    let format = fmt::layer()
        .with_ansi(io::stderr().is_terminal())
        .with_timer(ChronoLocal::new("%d-%m-%Y %H:%M:%S".into()))
        .with_target(false)
        .with_writer(stderr);
    // A program that embeds this one may have a subscriber already, which then stays.
    let _ = tracing_subscriber::registry().with(format).with(filter).try_init();
    guard
}
