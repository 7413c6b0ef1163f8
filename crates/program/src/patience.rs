//! Writing to a stream whose reader may be stuck, at the end of a program.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// Does something that may block for ever in a thread of its own, and waits until it is done, or
/// `patience` is over. Returns whether there could be a thread.
pub(crate) fn wait_for(patience: Duration, act: impl FnOnce() + Send + 'static) -> bool {
    let (end, ended) = channel::<()>();
    let acting = move || {
        act();
        drop(end);
    };
    let is_started = thread::Builder::new().spawn(acting).is_ok();
    // Without a thread the other end is gone already.
    let _ = ended.recv_timeout(patience);
    is_started
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(200);

    #[test]
    fn what_is_done_soon_is_waited_for() {
        let (done, is_done) = channel();
        assert!(wait_for(PATIENCE, move || done.send(()).unwrap()));
        assert!(is_done.try_recv().is_ok());
    }

    #[test]
    fn what_blocks_is_not_waited_for() {
        let (go, may_go) = channel::<()>();
        let begun = Instant::now();
        assert!(wait_for(PATIENCE, move || may_go.recv().unwrap_or_default()));
        assert!(begun.elapsed() < 20 * PATIENCE, "{:?}", begun.elapsed());
        drop(go);
    }
}
