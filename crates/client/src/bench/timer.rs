//! A timer that is finer than the milliseconds of the runtime's.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A timer of the system.
#[derive(Debug)]
pub(crate) struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    /// # Errors
    /// When the system is out of descriptors.
    // What replaces it is unsafe; an OwnedFd is what it asks for: it keeps its descriptor.
    #[expect(deprecated)]
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        AsyncFd::with_interest(timer, Interest::READABLE).map(Self)
    }

    /// Waits for this long.
    ///
    /// # Errors
    /// When the system takes the time for none.
    pub(crate) async fn wait(&self, time: Duration) -> io::Result<()> {
        // A time of 0 would never come.
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
    async fn it_waits_again_and_again_and_never_too_short() {
        let timer = Timer::new().unwrap();
        for micros in [0, 300, 10, 2000] {
            let (start, time) = (Instant::now(), Duration::from_micros(micros));
            timer.wait(time).await.unwrap();
            assert!(start.elapsed() >= time);
        }
    }
}
