//! Whether pings can be recorded, answered from memory alone: a system call on the log that hangs
//! does not block the answer.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::{info, warn};

/// Time after which a system call on the log counts as hanging: `/healthz` has to report it within
/// 5 s.
pub(super) const HANG_AFTER: Duration = Duration::from_secs(4);

/// Time between two checks for a system call that hangs.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The reasons why pings cannot be recorded.
#[derive(Debug)]
pub(super) struct LogHealth {
    /// Calls on the current file, under the lock of the log.
    pub(super) file: Calls,
    /// Calls that wait for the disk.
    pub(super) sync: Calls,
    /// Why the last write failed; `None` if it succeeded.
    write_error: Mutex<Option<Arc<str>>>,
    /// Why no further line will be recorded.
    failed: OnceLock<Arc<str>>,
    /// Notified at a failure.
    failure: Notify,
}

impl LogHealth {
    pub(super) fn new() -> Self {
        let origin = Instant::now();
        Self {
            file: Calls::new(origin),
            sync: Calls::new(origin),
            write_error: Mutex::default(),
            failed: OnceLock::new(),
            failure: Notify::new(),
        }
    }

    /// # Errors
    /// If pings cannot be recorded; the error says why.
    pub(super) fn check(&self, now: Instant) -> Result<(), Arc<str>> {
        if let Some(cause) = self.failed() {
            return Err(Arc::clone(cause));
        }
        self.check_calls(now, HANG_AFTER)?;
        self.write_error.lock().clone().map_or(Ok(()), Err)
    }

    /// # Errors
    /// When a system call has not returned for `limit`.
    pub(super) fn check_calls(&self, now: Instant, limit: Duration) -> Result<(), Arc<str>> {
        let cause = |what, age: Duration| {
            let age = age.as_secs_f64();
            Err(format!("{what}: the system has not returned from a call for {age:.1} s").into())
        };
        if let Some(age) = self.file.longer_than(limit, now) {
            return cause("the log cannot be written", age);
        }
        match self.sync.longer_than(limit, now) {
            Some(age) => cause("the log cannot be brought to the disk", age),
            None => Ok(()),
        }
    }

    /// Logs each system call that hangs, and its return.
    pub(super) async fn watch_calls(&self) -> Infallible {
        let mut is_hanging = false;
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            let checked = self.check_calls(Instant::now(), HANG_AFTER);
            let was_hanging = std::mem::replace(&mut is_hanging, checked.is_err());
            match checked {
                Err(cause) if !was_hanging => warn!("{cause}; /healthz answers 503 until it does"),
                Ok(()) if was_hanging => info!("the system has returned from the call on the log"),
                _ => {}
            }
        }
    }

    /// Notes why the last write failed; `None` if it succeeded.
    pub(super) fn set_write_error(&self, error: Option<Arc<str>>) {
        *self.write_error.lock() = error;
    }

    /// Why no further line will be recorded; `None` before a failure.
    pub(super) fn failed(&self) -> Option<&Arc<str>> {
        self.failed.get()
    }

    /// Notes that no further line will be recorded. The first cause stays; returns whether this is
    /// the first.
    pub(super) fn fail(&self, cause: Arc<str>) -> bool {
        let is_first = self.failed.set(cause).is_ok();
        self.failure.notify_waiters();
        is_first
    }

    /// Waits for a failure, and returns its cause.
    pub(super) async fn wait_for_failure(&self) -> Arc<str> {
        loop {
            // Created before the check, so that a failure in between is not missed.
            let notified = self.failure.notified();
            if let Some(cause) = self.failed() {
                return Arc::clone(cause);
            }
            notified.await;
        }
    }
}

/// System calls of one kind, at most one at a time.
#[derive(Debug)]
pub(super) struct Calls {
    origin: Instant,
    /// When the present call began, in nanoseconds after `origin`; 0 if there is none.
    since: AtomicU64,
}

/// A call that is under way, until dropped.
#[derive(Debug)]
pub(super) struct Call<'a>(&'a Calls);

impl Calls {
    fn new(origin: Instant) -> Self {
        Self { origin, since: AtomicU64::new(0) }
    }

    /// Notes that a call begins.
    pub(super) fn begin(&self, now: Instant) -> Call<'_> {
        self.since.store(self.nanos(now).max(1), Ordering::Relaxed);
        Call(self)
    }

    /// How long the present call has taken, if that is `limit` or more.
    pub(super) fn longer_than(&self, limit: Duration, now: Instant) -> Option<Duration> {
        let since = self.since.load(Ordering::Relaxed);
        let age = Duration::from_nanos(self.nanos(now).saturating_sub(since));
        (since != 0 && age >= limit).then_some(age)
    }

    fn nanos(&self, now: Instant) -> u64 {
        u64::try_from(now.duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.since.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_hangs_is_reported_until_it_returns() {
        let health = LogHealth::new();
        let now = Instant::now();
        for (calls, told) in [(&health.file, "written"), (&health.sync, "to the disk")] {
            let call = calls.begin(now);
            assert_eq!(health.check(now + HANG_AFTER / 2), Ok(()));
            let cause = health.check(now + HANG_AFTER).unwrap_err();
            assert!(cause.contains(told) && cause.ends_with(" 4.0 s"), "{cause}");
            drop(call);
            assert_eq!(health.check(now + HANG_AFTER), Ok(()));
        }
    }

    #[test]
    fn a_write_error_passes_and_a_failure_stays() {
        let health = LogHealth::new();
        let now = Instant::now();
        health.set_write_error(Some("disk full".into()));
        assert_eq!(health.check(now), Err("disk full".into()));
        health.set_write_error(None);
        assert_eq!(health.check(now), Ok(()));
        assert!(health.fail("failed".into()));
        assert!(!health.fail("again".into()));
        assert_eq!(health.check(now), Err("failed".into()));
    }

    #[tokio::test]
    async fn a_failure_is_returned_to_earlier_and_later_waits() {
        let health = Arc::new(LogHealth::new());
        let waiting = tokio::spawn({
            let health = Arc::clone(&health);
            async move { health.wait_for_failure().await }
        });
        tokio::task::yield_now().await;
        health.fail("failed".into());
        assert_eq!(waiting.await.unwrap(), "failed".into());
        assert_eq!(health.wait_for_failure().await, "failed".into());
    }
}
