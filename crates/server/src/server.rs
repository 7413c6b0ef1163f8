//! The server as a whole: from its settings to its end.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio::{join, select};
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use crate::descriptors::{self, Budget};
use crate::handshake::Handshake;
use crate::health::Health;
use crate::http::Http;
use crate::journal::{self, Closer, Journal, standard_output};
use crate::listener;
use crate::metrics::Metrics;
use crate::service;
use crate::settings::Settings;
use crate::stop::{self, Stop};
use crate::throttle::Throttle;
use crate::tls::{self, Tls};
use crate::worker::{self, Worker};

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    settings: Settings,
    listener: TcpListener,
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
    listener: TcpListener,
    acceptor: TlsAcceptor,
    reload: tls::Reload,
}

impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secure").field("listener", &self.listener).finish_non_exhaustive()
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
        let limit = descriptors::raise_limit();
        let budget = Budget::new(limit, workers).ok_or_else(|| {
            Failure::Setting(format!("WORKERS (--workers) is {workers}, but allowed is less with a limit of {limit} descriptors (ulimit -n)"))
        })?;
        let max_connections = connections(&settings, budget, limit)?;
        check_log_file(&settings)?;
        let tls = open_tls(&settings)?;
        let listener = bind(settings.listen, "LISTEN")?;
        let secure = tls.map(|tls| Secure::start(tls, settings.tls_listen())).transpose()?;
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
            own: settings.listen.ip(),
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
        info!(
            "listening on ws://{}, log {} (LOG_SYNC {:?}), {} workers, at most {max_connections} connections",
            listener.local_addr().unwrap_or(settings.listen),
            journal.path().display(),
            settings.log_sync,
            workers.len(),
        );
        if let Some(Secure { listener, .. }) = &secure {
            info!("listening on wss://{}", listener.local_addr().unwrap_or(settings.tls_listen()));
        }
        Ok(Self {
            settings,
            listener,
            secure,
            workers,
            failures,
            metrics,
            journal,
            closer,
            stopper,
        })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
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
        let Self { settings, listener, secure, workers, mut failures, .. } = self;
        let result = select! {
            () = accept(&listener, secure.as_ref(), &workers, &self.metrics) => Ok(()),
            () = stop.wait() => Ok(()),
            cause = self.journal.failed() => Err(Failure::Run(cause.to_string())),
            Some(cause) = failures.recv() => Err(Failure::Run(cause)),
        };
        let deadline = Instant::now() + settings.drain_timeout;
        let drain = settings.drain_timeout.saturating_sub(last_sync(settings.drain_timeout));
        drop((listener, secure));
        let open: usize = workers.iter().map(Worker::load).sum();
        info!("stopping, {open} connections to close");
        self.stopper.stop();
        let finished = join_all(workers.into_iter().map(Worker::finish));
        if timeout(drain, finished).await.is_err() {
            warn!("connections were still open after {drain:?} of DRAIN_TIMEOUT");
        }
        let closed = self.closer.close(deadline).map_err(|cause| Failure::Run(cause.to_string()));
        info!("stopped");
        result.and(closed)
    }
}

/// The part of `DRAIN_TIMEOUT` that connections leave for the last sync of the log.
fn last_sync(drain_timeout: Duration) -> Duration {
    (drain_timeout / 4).min(Duration::from_secs(1))
}

fn check_log_file(settings: &Settings) -> Result<(), Failure> {
    let path = &settings.log_file;
    journal::check_path(path).map_err(|kind| {
        Failure::Setting(format!("LOG_FILE (--log-file) is {path:?}, {kind}, but allowed is a regular file of its own; each line goes to the standard output as well, so name a file such as server_logs.txt"))
    })
}

/// Accepts connections at all ports, for ever.
async fn accept(
    listener: &TcpListener,
    secure: Option<&Secure>,
    workers: &[Worker],
    metrics: &Metrics,
) {
    let plain = listener::accept(listener, None, workers, &metrics.errors);
    let Some(Secure { listener, acceptor, .. }) = secure else { return plain.await };
    let secure = listener::accept(listener, Some(acceptor), workers, &metrics.errors);
    join!(plain, secure);
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn bind(address: SocketAddr, setting: &str) -> Result<TcpListener, Failure> {
    listener::bind(address).map_err(|error| {
        Failure::Run(format!("cannot listen on {address}: {error}; stop the program that does, or choose another {setting}"))
    })
}

/// The certificate, if TLS is to be spoken.
fn open_tls(settings: &Settings) -> Result<Option<Tls>, Failure> {
    let Some(dir) = &settings.tls_dir else {
        if settings.tls_listen.is_some() || settings.tls_names.is_some() {
            warn!(
                "TLS_LISTEN and TLS_NAMES do nothing without TLS_DIR; set it to a folder to serve wss://"
            );
        }
        return Ok(None);
    };
    let names = settings.tls_names.clone().unwrap_or_default();
    let options = tls::Options { dir: dir.clone(), names, host: host_name() };
    let tls = Tls::open(options).map_err(|cause| {
        Failure::Setting(format!("TLS_DIR (--tls-dir) is {dir:?}, but there: {cause}"))
    })?;
    Ok(Some(tls))
}

impl Secure {
    /// Listens for TLS, and keeps the certificate up to date.
    fn start(tls: Tls, address: SocketAddr) -> Result<Self, Failure> {
        let listener = bind(address, "TLS_LISTEN")?;
        let (acceptor, reload) = tls
            .start()
            .map_err(|error| Failure::Run(format!("cannot watch the certificate: {error}")))?;
        Ok(Self { listener, acceptor, reload })
    }
}

/// The number of connections to allow.
fn connections(settings: &Settings, budget: Budget, limit: usize) -> Result<usize, Failure> {
    match settings.max_connections {
        None => Ok(budget.connections),
        Some(asked) if asked <= budget.connections => Ok(asked),
        Some(asked) => Err(Failure::Setting(format!(
            "MAX_CONNECTIONS (--max-connections) is {asked:?}, but allowed is at most {} with a limit of {limit} descriptors (ulimit -n)",
            budget.connections
        ))),
    }
}
