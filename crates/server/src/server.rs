//! The server as a whole: from its settings to its end.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use program::descriptors;
use program::stop::{self, Stop};
use tokio::net::TcpListener;
use tokio::select;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use crate::descriptors::Budget;
use crate::handshake::Handshake;
use crate::health::Health;
use crate::http::Http;
use crate::journal::{Closer, Journal, standard_output};
use crate::listener;
use crate::metrics::Metrics;
use crate::service;
use crate::settings::{ListenAddress, Settings};
use crate::throttle::Throttle;
use crate::tls::{self, Tls};
use crate::worker::{self, Worker};

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    settings: Settings,
    /// At least one.
    listeners: Vec<TcpListener>,
    secure: Option<Secure>,
    workers: Vec<Worker>,
    /// What workers could not go on for.
    failures: mpsc::Receiver<String>,
    metrics: Arc<Metrics>,
    journal: Journal,
    closer: Closer,
    stopper: stop::Stopper,
}

/// Where TLS is spoken.
struct Secure {
    /// At least one.
    listeners: Vec<TcpListener>,
    acceptor: TlsAcceptor,
    reload: tls::Reload,
}

impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secure").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

/// Why a server could not start, or ended before it was told to.
#[derive(Debug)]
pub enum Failure {
    /// A setting cannot be met on this system.
    Setting(String),
    /// The system refused something.
    Run(String),
}

impl Server {
    /// Opens the log, starts the workers and listens.
    ///
    /// # Errors
    /// When the log or the address cannot be had, or a setting asks for too much.
    pub fn start(settings: Settings) -> Result<Self, Failure> {
        let workers = settings.workers();
        let budget = Budget::of(&settings, descriptors::raise_limit())?;
        let max_connections = budget.connections;
        let tls = open_tls(&settings)?;
        let listeners = settings.listen.bind("LISTEN", listener::bind).map_err(Failure::Run)?;
        let secure = tls.map(|tls| Secure::start(tls, &settings.tls_listen())).transpose()?;
        let (journal, closer) = Journal::open(&settings.journal(), standard_output()).map_err(|error| {
            let path = settings.log_file.display();
            Failure::Run(format!("LOG_FILE {path} cannot be opened for writing: {error}; name a file in a folder that this user may write to"))
        })?;
        let (stopper, stop) = stop::channel();
        let (failing, failures) = mpsc::channel(1);
        let metrics = Arc::new(Metrics::new(workers, max_connections, journal.clone()));
        let health = Health { journal: journal.clone(), stop: stop.clone() };
        let http = Http {
            health: health.clone(),
            metrics: Arc::clone(&metrics),
            origins: settings.allowed_origins.clone(),
            proxies: settings.trusted_proxies.clone().unwrap_or_default(),
            connections: Arc::new(Semaphore::new(max_connections)),
            own: addresses(&listeners).next().map_or(Ipv4Addr::LOCALHOST.into(), |own| own.ip()),
            refused_requests: Throttle::default(),
            refused_origins: Throttle::default(),
        };
        let handshake = Arc::new(Handshake::new(http));
        let options = worker::Options {
            journal: journal.clone(),
            max_message: settings.max_message,
            reply_delay: settings.reply_delay,
            sockets: Arc::default(),
            max_sockets: budget.sockets,
            services: Arc::new(service::State::new(host_name(), Arc::clone(&metrics), health)),
            metrics: Arc::clone(&metrics),
            unusable: Arc::default(),
            stop,
            failures: failing,
        };
        let workers = metrics
            .workers()
            .iter()
            .enumerate()
            .map(|(number, counts)| {
                Worker::start(number, options.clone(), Arc::clone(counts), Arc::clone(&handshake))
            })
            .collect::<io::Result<Vec<_>>>()
            .map_err(|error| Failure::Run(format!("cannot start a worker: {error}")))?;
        let mut told = addresses(&listeners);
        info!(
            "listening on ws://{}, log {} (LOG_SYNC {}), {} workers, at most {max_connections} connections",
            told.next().map_or_else(|| settings.listen.to_string(), |address| address.to_string()),
            journal.path().display(),
            settings.log_sync,
            workers.len(),
        );
        told.for_each(|address| info!("listening on ws://{address}"));
        for address in secure.iter().flat_map(|secure| addresses(&secure.listeners)) {
            info!("listening on wss://{address}");
        }
        Ok(Self {
            settings,
            listeners,
            secure,
            workers,
            failures,
            metrics,
            journal,
            closer,
            stopper,
        })
    }

    /// The first address that it listens on.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listeners
            .first()
            .map_or(Err(io::ErrorKind::NotConnected.into()), TcpListener::local_addr)
    }

    /// What is to be done on a SIGHUP: the log is opened, and the certificate read, anew.
    pub fn on_hang_up(&self) -> impl Fn() + Send + 'static {
        let journal = self.journal.clone();
        let reload = self.secure.as_ref().map(|secure| secure.reload.clone());
        move || {
            journal.reopen();
            reload.iter().for_each(tls::Reload::reload);
        }
    }

    /// Serves until told to stop, then ends every connection in good order.
    ///
    /// # Errors
    /// When the log failed for good.
    pub async fn run(self, mut stop: Stop) -> Result<(), Failure> {
        let Self { settings, listeners, secure, workers, mut failures, .. } = self;
        let result = select! {
            () = accept(&listeners, secure.as_ref(), &workers, &self.metrics) => Ok(()),
            () = stop.wait() => Ok(()),
            cause = self.journal.failed() => Err(Failure::Run(cause.to_string())),
            Some(cause) = failures.recv() => Err(Failure::Run(cause)),
        };
        let deadline = Instant::now() + settings.drain_timeout;
        drop((listeners, secure));
        let open: usize = workers.iter().map(Worker::load).sum();
        info!("stopping, {open} connections to close");
        self.stopper.stop();
        let finished = join_all(workers.into_iter().map(Worker::finish));
        if timeout(settings.drain_timeout, finished).await.is_err() {
            warn!("connections were still open after {:?} (DRAIN_TIMEOUT)", settings.drain_timeout);
        }
        let closed = self.closer.close(deadline).map_err(|cause| Failure::Run(cause.to_string()));
        info!("stopped");
        result.and(closed)
    }
}

/// Accepts connections at all ports, for ever.
async fn accept(
    listeners: &[TcpListener],
    secure: Option<&Secure>,
    workers: &[Worker],
    metrics: &Metrics,
) {
    let plain = listeners.iter().map(|listener| (listener, None));
    let secure = secure.iter().flat_map(|secure| {
        secure.listeners.iter().map(|listener| (listener, Some(&secure.acceptor)))
    });
    join_all(plain.chain(secure).map(|(listener, acceptor)| {
        listener::accept(listener, acceptor, workers, &metrics.errors)
    }))
    .await;
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn addresses(listeners: &[TcpListener]) -> impl Iterator<Item = SocketAddr> {
    listeners.iter().filter_map(|listener| listener.local_addr().ok())
}

/// The certificate, if TLS is to be spoken.
fn open_tls(settings: &Settings) -> Result<Option<Tls>, Failure> {
    let Some(dir) = &settings.tls_dir else { return Ok(None) };
    let names = settings.tls_names.clone().unwrap_or_default();
    let options = tls::Options { dir: dir.clone(), names, host: host_name() };
    let tls = Tls::open(options).map_err(|cause| {
        Failure::Setting(format!("TLS_DIR (--tls-dir) is {dir:?}, but there: {cause}"))
    })?;
    Ok(Some(tls))
}

impl Secure {
    /// Listens for TLS, and keeps the certificate up to date.
    fn start(tls: Tls, address: &ListenAddress) -> Result<Self, Failure> {
        let listeners = address.bind("TLS_LISTEN", listener::bind).map_err(Failure::Run)?;
        let (acceptor, reload) = tls
            .start()
            .map_err(|error| Failure::Run(format!("cannot watch the certificate: {error}")))?;
        Ok(Self { listeners, acceptor, reload })
    }
}
