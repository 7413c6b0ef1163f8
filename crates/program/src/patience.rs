//! Calls that may block for ever, such as a write to a stream whose reader is stuck.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// Runs `act`, which may block for ever, in a thread of its own, and waits until `act` has returned,
/// at most `patience`. Returns `false` if no thread could be started; `act` has not run then.
pub fn wait_for(patience: Duration, act: impl FnOnce() + Send + 'static) -> bool {
    let (end, ended) = channel::<()>();
    let acting = move || {
        act();
        drop(end);
    };
    let is_started = thread::Builder::new().spawn(acting).is_ok();
    // Returns when `acting` is dropped: when `act` has returned, or at once if no thread was
    // started.
    let _ = ended.recv_timeout(patience);
    is_started
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(200);

    #[test]
    fn an_act_that_returns_is_waited_for() {
        let (done, is_done) = channel();
        assert!(wait_for(300 * PATIENCE, move || done.send(()).unwrap()));
        assert!(is_done.try_recv().is_ok());
    }

    #[test]
    fn an_act_that_blocks_is_left_behind() {
        let (go, may_go) = channel::<()>();
        let begun = Instant::now();
        assert!(wait_for(PATIENCE, move || may_go.recv().unwrap_or_default()));
        assert!(begun.elapsed() < 300 * PATIENCE, "{:?}", begun.elapsed());
        drop(go);
    }
}
