//! Waiting for the disk, in a thread of its own, for all pings that wait.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use rustix::fs::{Advice, fadvise};
use tracing::error;

use super::Shared;

/// When the disk has to hold a line (`LOG_SYNC`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SyncPolicy {
    /// Before its Pong goes out.
    Always,
    /// About a second later.
    Everysec,
    /// When the operating system sees fit.
    No,
}

/// How far the disk has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// Writes that are on the disk.
    pub(super) synced: u64,
    /// Why no further write will be: what the disk holds is unknown.
    pub(super) failed: Option<Arc<str>>,
}

/// Time that passes between a write and its sync under [`SyncPolicy::Everysec`].
const PAUSE: Duration = Duration::from_secs(1);

/// The thread that syncs; ends, after a last sync, when told to.
#[derive(Debug)]
pub(super) struct Syncer {
    stop: Sender<()>,
    ended: Receiver<()>,
}

impl Syncer {
    /// # Errors
    /// When there can be no further thread.
    pub(super) fn start(shared: Arc<Shared>, pause: bool) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let (end, ended) = channel();
        thread::Builder::new().name("log-sync".into()).spawn(move || {
            run(&shared, pause.then_some(PAUSE), &stopped);
            drop(end);
        })?;
        Ok(Self { stop, ended })
    }

    /// Syncs a last time, and waits for that as long as `patience`.
    pub(super) fn close(self, shared: &Shared, patience: Duration) {
        drop(self.stop);
        shared.wake_syncer();
        let _ = self.ended.recv_timeout(patience);
    }
}

fn run(shared: &Shared, pause: Option<Duration>, stopped: &Receiver<()>) {
    let stopping = || stopped.try_recv() == Err(TryRecvError::Disconnected);
    while let Some((mut files, mut written)) = shared.wait_for_writes(stopping) {
        if let Some(pause) = pause
            && stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout)
        {
            let (more, latest) = shared.take_writes();
            files.extend(more);
            written = latest;
        }
        // There is no second try: the kernel may have dropped the pages that it could not
        // write, and the next sync would succeed without them.
        if let Err(error) = files.iter().try_for_each(|file| sync(file)) {
            let cause = format!("the log could not be brought to the disk: {error}");
            error!("{cause}; what the disk holds is unknown, so the server ends");
            return shared.sync_failed(&cause.into());
        }
        shared.synced(written);
        files.iter().for_each(|file| give_pages_back(file));
    }
}

/// Lets the system have the memory of what is on the disk: a log is rarely read, and would fill
/// the page cache. Pages that come back at once also cost the next lines less than new ones. The
/// last page stays, as the next line is to join it.
fn give_pages_back(file: &File) {
    /// Where every page size has a boundary.
    const BOUNDARY: u64 = 64 * 1024;
    let len = file.metadata().map_or(0, |metadata| metadata.len());
    if let Some(whole) = NonZeroU64::new(len - len % BOUNDARY) {
        // A system that keeps them is slower, not wrong.
        let _ = fadvise(file, 0, Some(whole), Advice::DontNeed);
    }
}

fn sync(file: &File) -> io::Result<()> {
    match file.sync_data() {
        // A device or a pipe has nothing to sync.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}
