//! Events on stderr.

use std::env;
use std::ffi::OsStr;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
pub use tracing_subscriber::filter::Targets as Filter;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::clock::Clock;
use crate::patience;

/// Time for the last events where the reader of stderr is stuck.
const PATIENCE: Duration = Duration::from_millis(200);

/// Has the last events written when dropped.
#[derive(Debug)]
pub struct EventsGuard(Option<WorkerGuard>);

impl Drop for EventsGuard {
    fn drop(&mut self) {
        // Dropping the guard inside waits for more than a second where the reader is stuck.
        let guard = self.0.take();
        patience::wait_for(PATIENCE, move || drop(guard));
    }
}

/// Starts to write events to stderr, each with its local time.
///
/// A thread of its own writes: where the reader of stderr is too slow, events are left out, and
/// the program goes on. Dropping the guard writes what is still in the queue, unless the reader
/// is stuck.
///
/// # Errors
/// When the system lets this process have no further thread.
pub fn init(filter: Filter) -> Result<EventsGuard, String> {
    try_thread()?;
    // Flushed by the thread whenever no further event waits.
    let stderr = BufWriter::new(io::stderr());
    let (stderr, guard) = NonBlockingBuilder::default().lossy(true).finish(stderr);
    let format = fmt::layer()
        .with_ansi(io::stderr().is_terminal() && wants_colors())
        .with_timer(Clock::default())
        .with_target(false)
        .with_writer(Destination(stderr));
    // A program that embeds this one may have a subscriber already, which then stays.
    let _ = tracing_subscriber::registry().with(format).with(filter).try_init();
    Ok(EventsGuard(Some(guard)))
}

/// Takes an event, a whole line; returns whether it could.
type Taker = Box<dyn Fn(&str) -> bool + Send + Sync>;

static TAKER: OnceLock<Taker> = OnceLock::new();

/// Gives each event from now on to `take`, and to stderr what that does not take. A program that
/// writes to a terminal itself keeps the order of its lines that way. There is one taker, the
/// first.
pub fn redirect(take: impl Fn(&str) -> bool + Send + Sync + 'static) {
    let _ = TAKER.set(Box::new(take));
}

/// Where an event goes.
struct Destination(NonBlocking);

impl<'a> MakeWriter<'a> for Destination {
    type Writer = Event;

    fn make_writer(&'a self) -> Event {
        Event(self.0.clone())
    }
}

/// An event on its way. The formatter writes each with one call.
struct Event(NonBlocking);

impl Write for Event {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let is_taken = TAKER.get().is_some_and(|take| str::from_utf8(event).is_ok_and(take));
        if is_taken { Ok(event.len()) } else { self.0.write(event) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts a thread that does nothing: tracing-appender panics where it gets none.
fn try_thread() -> Result<(), String> {
    let thread = thread::Builder::new().spawn(|| {}).map_err(|error| {
        format!("cannot start a thread: {error}; this user or container has as many processes and threads as it may: raise that (ulimit -u, or the limit of pids)")
    })?;
    // The thread has nothing to panic about.
    let _ = thread.join();
    Ok(())
}

/// Whether the environment lets a terminal have colors (<https://no-color.org>).
#[must_use]
pub fn wants_colors() -> bool {
    let no_color = env::var_os("NO_COLOR").unwrap_or_default();
    no_color.is_empty() && env::var_os("TERM").as_deref() != Some(OsStr::new("dumb"))
}
