//! A worker: a thread with an event loop of its own. A connection stays with its worker, so
//! that a ping needs no lock and no wake across cores.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::sleep;
use tracing::{debug, error};

use crate::connection::Shared;
use crate::event_loop::{Arrival, EventLoop};
use crate::handshake::Handshake;
use crate::journal::Journal;
use crate::listener::Accepted;
use crate::metrics::{Metrics, WorkerMetrics};
use crate::service;
use crate::stop::Stop;
use crate::throttle::Throttle;

/// Accepted connections on their way to a worker.
const QUEUE: usize = 64;

/// Handshakes that may be under way at a time in one worker.
const MAX_HANDSHAKES: usize = 2048;

/// Handshakes below which nobody looks for finished ones.
const FEW_HANDSHAKES: usize = 64;

/// Time that handshakes are given to finish when the server stops.
const HANDSHAKE_GRACE: Duration = Duration::from_millis(200);

/// What a worker has to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where pings are recorded.
    pub journal: Journal,
    /// Largest message in bytes.
    pub max_message: usize,
    /// Time that each reply is held back.
    pub reply_delay: Duration,
    /// Connections in all workers, handshakes included.
    pub sockets: Arc<AtomicUsize>,
    /// How many of these there may be before handshakes have to make room.
    pub max_sockets: usize,
    /// What the services remember.
    pub services: Arc<service::State>,
    /// What the server counts.
    pub metrics: Arc<Metrics>,
    /// Warnings about messages that a service cannot use.
    pub unusable: Arc<Throttle>,
    /// The end of the server.
    pub stop: Stop,
    /// Where to say that the worker cannot go on.
    pub failures: mpsc::Sender<String>,
}

impl Options {
    fn shared(&self, counts: Arc<WorkerMetrics>) -> Shared {
        Shared {
            max_message: self.max_message,
            reply_delay: self.reply_delay,
            services: Arc::clone(&self.services),
            metrics: Arc::clone(&self.metrics),
            counts,
            unusable: Arc::clone(&self.unusable),
        }
    }
}

/// The handle to a worker.
#[derive(Debug)]
pub struct Worker {
    queue: mpsc::Sender<Accepted>,
    load: Arc<AtomicUsize>,
    sockets: Arc<AtomicUsize>,
    ended: oneshot::Receiver<()>,
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there can be no further thread or event loop.
    pub fn start(
        number: usize,
        options: Options,
        counts: Arc<WorkerMetrics>,
        handshake: Arc<Handshake>,
    ) -> io::Result<Self> {
        let (queue, accepted) = mpsc::channel(QUEUE);
        let load = Arc::new(AtomicUsize::new(0));
        let (end, ended) = oneshot::channel();
        let counted = Arc::clone(&load);
        let sockets = Arc::clone(&options.sockets);
        let (begin, begun) = std::sync::mpsc::channel();
        thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            let result = runtime().and_then(|runtime| {
                let _entered = runtime.enter();
                let event_loop = EventLoop::new(options.shared(counts), &options.journal)?;
                Ok((runtime, event_loop))
            });
            match result {
                Ok((runtime, event_loop)) => {
                    let _ = begin.send(Ok(()));
                    let failures = options.failures.clone();
                    let serving = run(options, event_loop, handshake, accepted, counted);
                    if let Err(cause) = runtime.block_on(serving) {
                        // One is enough to end the server.
                        let _ = failures.try_send(format!("worker {number} failed: {cause}"));
                    }
                }
                Err(error) => drop(begin.send(Err(error))),
            }
            let _ = end.send(());
        })?;
        begun.recv().map_err(io::Error::other)??;
        Ok(Self { queue, load, sockets, ended })
    }

    /// How many connections the worker has.
    pub fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// Hands a connection over.
    pub async fn take(&self, accepted: Accepted) {
        self.load.fetch_add(1, Ordering::Relaxed);
        self.sockets.fetch_add(1, Ordering::Relaxed);
        // A worker that is gone drops the connection.
        let _ = self.queue.send(accepted).await;
    }

    /// Ends the supply of connections; returns when the last one is done.
    pub async fn finish(self) {
        drop(self.queue);
        let _ = self.ended.await;
    }
}

fn runtime() -> io::Result<LocalRuntime> {
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default())
}

/// What the handshakes of a worker share.
struct Context {
    handshake: Arc<Handshake>,
    /// Where those go that are done.
    established: mpsc::Sender<Arrival<Counted>>,
}

/// Counts a connection as long as it lives.
#[derive(Debug)]
struct Counted {
    load: Arc<AtomicUsize>,
    sockets: Arc<AtomicUsize>,
    /// The worker ends when the last of these is gone.
    _alive: mpsc::Sender<()>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
        self.sockets.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves until the last connection after the stop is gone.
///
/// # Errors
/// When it cannot serve any more, with the reason.
async fn run(
    options: Options,
    event_loop: EventLoop<Counted>,
    handshake: Arc<Handshake>,
    queue: mpsc::Receiver<Accepted>,
    load: Arc<AtomicUsize>,
) -> Result<(), String> {
    let (established, arrivals) = mpsc::channel(QUEUE);
    let context = Rc::new(Context { handshake, established });
    let serving = spawn_local(event_loop.run(arrivals, options.stop.clone()));
    tokio::select! {
        () = shake_hands(options, context, queue, load) => Ok(()),
        ended = serving => Err(ended.map_or_else(|error| error.to_string(), |error| error.to_string())),
    }
}

/// Sees to the handshakes of those who were accepted; returns when all connections are gone.
async fn shake_hands(
    options: Options,
    context: Rc<Context>,
    mut queue: mpsc::Receiver<Accepted>,
    load: Arc<AtomicUsize>,
) {
    let Options { sockets, max_sockets, mut stop, .. } = options;
    let (alive, mut all_gone) = mpsc::channel::<()>(1);
    let mut handshakes = Handshakes { running: VecDeque::new(), sweep_at: FEW_HANDSHAKES };
    while let Some(accepted) = queue.recv().await {
        let counted = Counted {
            load: Arc::clone(&load),
            sockets: Arc::clone(&sockets),
            _alive: alive.clone(),
        };
        let handshake = spawn_local(begin(Rc::clone(&context), accepted, counted));
        let is_crowded = sockets.load(Ordering::Relaxed) > max_sockets;
        handshakes.admit(handshake.abort_handle(), is_crowded);
    }
    drop(alive);
    stop.wait().await;
    tokio::select! {
        _ = all_gone.recv() => return,
        () = sleep(HANDSHAKE_GRACE) => handshakes.abort(),
    }
    all_gone.recv().await;
}

/// The handshakes under way. Where there are too many, the oldest one goes: an honest one takes
/// milliseconds, so that is the one of a peer that keeps others out.
struct Handshakes {
    running: VecDeque<AbortHandle>,
    /// Their number at which finished ones are looked for.
    sweep_at: usize,
}

impl Handshakes {
    fn admit(&mut self, handshake: AbortHandle, is_crowded: bool) {
        if is_crowded || self.running.len() >= self.sweep_at {
            self.running.retain(|handshake| !handshake.is_finished());
            self.sweep_at = MAX_HANDSHAKES.min(FEW_HANDSHAKES.max(2 * self.running.len()));
        }
        if is_crowded || self.running.len() >= MAX_HANDSHAKES {
            debug!("giving up the oldest handshake for a new one");
            self.running.pop_front().iter().for_each(AbortHandle::abort);
        }
        self.running.push_back(handshake);
    }

    fn abort(&mut self) {
        self.running.drain(..).for_each(|handshake| handshake.abort());
    }
}

async fn begin(context: Rc<Context>, accepted: Accepted, counted: Counted) {
    let Accepted { stream, acceptor, peer, at } = accepted;
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => return error!(%peer, "cannot serve the connection: {error}"),
    };
    if let Some(established) = context.handshake.perform(stream, acceptor, peer, at).await {
        // A loop that is gone drops the connection.
        let _ = context.established.send(Arrival { established, counted }).await;
    }
}
