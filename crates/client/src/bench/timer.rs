//! A timer with a finer resolution than the milliseconds of tokio's timer.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A timerfd of the kernel.
#[derive(Debug)]
pub(crate) struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    /// # Errors
    /// If the process has no free file descriptor.
    // The non-deprecated constructor is unsafe. Its condition holds: an OwnedFd keeps its
    // descriptor.
    #[expect(deprecated)]
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        AsyncFd::with_interest(timer, Interest::READABLE).map(Self)
    }

    /// Sleeps for `time`.
    ///
    /// # Errors
    /// If the kernel rejects the time.
    pub(crate) async fn wait(&self, time: Duration) -> io::Result<()> {
        // A timerfd with a time of 0 is disarmed and never expires.
        let time = time.max(Duration::from_nanos(1));
        let it_value = Timespec::try_from(time).map_err(io::Error::other)?;
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let times = Itimerspec { it_interval, it_value };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &times)?;
        self.0.readable().await?.clear_ready();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[tokio::test]
    async fn the_timer_is_reusable_and_never_fires_early() {
        let timer = Timer::new().unwrap();
        for micros in [0, 300, 10, 2000] {
            let (start, time) = (Instant::now(), Duration::from_micros(micros));
            timer.wait(time).await.unwrap();
            assert!(start.elapsed() >= time);
        }
    }
}
