//! Events on stderr.

use std::env;
use std::ffi::OsStr;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tracing::warn;
pub use tracing_subscriber::filter::Targets as Filter;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::clock::Clock;
use crate::paced::{PacedWriter, Trouble};
use crate::standard_streams::standard_error;
use crate::threads;

/// Longest wait for the last events to be written. A reader that takes nothing is given up sooner.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// When dropped, waits for the last events to be written, unless the reader of stderr is stuck.
#[derive(Debug)]
pub struct EventsGuard(PacedWriter);

impl Drop for EventsGuard {
    fn drop(&mut self) {
        self.0.close();
        self.0.wait(Instant::now() + CLOSE_TIMEOUT);
    }
}

/// Starts to write events to stderr, each with its local time.
///
/// A dedicated thread writes the events. If the reader of stderr is too slow, events are left out,
/// an event says how many, and the program goes on.
///
/// # Errors
/// If the thread cannot be started.
pub fn init(filter: Filter) -> Result<EventsGuard, String> {
    let stderr = PacedWriter::start("stderr", standard_error(), |trouble| {
        if let Trouble::LeftOut(events) = trouble {
            warn!("left {events} events out on stderr, more than it takes");
        }
    })
    .map_err(|error| threads::refused(&error))?;
    let format = fmt::layer()
        .with_ansi(io::stderr().is_terminal() && wants_colors())
        .with_timer(Clock::default())
        .with_target(false)
        .with_writer(Destination(stderr.clone()));
    // A program that embeds this one may have a subscriber already, which then stays.
    let _ = tracing_subscriber::registry().with(format).with(filter).try_init();
    Ok(EventsGuard(stderr))
}

/// Accepts an event, which is a whole line; returns `false` if not.
type Sink = Box<dyn Fn(&str) -> bool + Send + Sync>;

static SINK: OnceLock<Sink> = OnceLock::new();

/// Gives each event from now on to `sink`; events that `sink` does not accept go to stderr. A
/// program that writes to a terminal itself keeps the order of its lines that way. The first call
/// counts, later ones have no effect.
pub fn redirect(sink: impl Fn(&str) -> bool + Send + Sync + 'static) {
    let _ = SINK.set(Box::new(sink));
}

/// The destination of events.
struct Destination(PacedWriter);

impl<'a> MakeWriter<'a> for Destination {
    type Writer = Event<'a>;

    fn make_writer(&'a self) -> Event<'a> {
        Event(&self.0)
    }
}

/// An event on its way. The formatter writes each with one call.
struct Event<'a>(&'a PacedWriter);

impl Write for Event<'_> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let is_accepted = SINK.get().is_some_and(|sink| str::from_utf8(event).is_ok_and(sink));
        if !is_accepted {
            self.0.push(event, 1);
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the environment lets a terminal have colors (<https://no-color.org>).
#[must_use]
pub fn wants_colors() -> bool {
    let no_color = env::var_os("NO_COLOR").unwrap_or_default();
    no_color.is_empty() && env::var_os("TERM").as_deref() != Some(OsStr::new("dumb"))
}
