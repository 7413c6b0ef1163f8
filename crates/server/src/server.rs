//! The server as a whole: from its settings to its end.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use program::stop::{self, Stop};
use program::threads;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio::{join, select};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tracing::{info, warn};

use crate::descriptors::Budget;
use crate::failure::Failure;
use crate::front::handshaker::Handshaker;
use crate::front::http::Http;
use crate::front::tls::{self, Tls};
use crate::front::{Front, listener};
use crate::journal::{self, Closer, Journal, OpenError};
use crate::observe::{Health, Metrics, WorkerMetrics};
use crate::occupancy::Occupancy;
use crate::service::{self, Service};
use crate::settings::{ListenAddress, Settings, refusal};
use crate::throttle::Throttle;
use crate::worker::turn::Shared;
use crate::worker::{self, Worker};

/// Time that handshakes under way get to finish when the server stops.
const HANDSHAKE_GRACE: Duration = Duration::from_millis(200);

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    drain_timeout: Duration,
    /// The plain listeners, at least one.
    listeners: Vec<TcpListener>,
    tls: Option<TlsListeners>,
    front: Front,
    /// Resolve when the workers have ended.
    ended: Vec<worker::Ended>,
    /// Receives why a worker could not go on.
    failures: mpsc::Receiver<String>,
    journal: Journal,
    closer: Closer,
    /// Makes `/healthz` answer 503. Separate from the stop given to [`Server::run`], because a
    /// failure ends the server too.
    stopper: stop::Stopper,
}

/// The sockets for TLS, which do not listen yet, and their certificate.
struct TlsSockets {
    sockets: Vec<TcpSocket>,
    config: Arc<ServerConfig>,
    reload: tls::Reload,
}

/// The listeners for TLS, and their certificate.
#[derive(Debug)]
struct TlsListeners {
    /// The listeners, at least one.
    listeners: Vec<TcpListener>,
    config: Arc<ServerConfig>,
    reload: tls::Reload,
}

impl Server {
    /// Opens the log, starts the workers and listens. Each line of the log is copied to `stdout`.
    /// Everything that may block comes before `before_listening` is called, and listening after it.
    ///
    /// # Errors
    /// When the log cannot be opened, an address cannot be listened on, or a setting asks for too much.
    pub fn start(
        settings: &Settings,
        stdout: impl Write + Send + 'static,
        before_listening: impl FnOnce(),
    ) -> Result<Self, Failure> {
        let budget = Budget::new(settings, program::descriptors::raise_limit())?;
        let max_connections = budget.connections;
        check_log_file(settings)?;
        let tls = open_tls(settings)?;
        let sockets = settings.listen.bind("LISTEN", &[], listener::bind).map_err(Failure::Run)?;
        let own: Vec<_> = sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect();
        let tls =
            tls.map(|tls| TlsSockets::start(tls, &settings.tls_listen(), &own)).transpose()?;
        let (journal, closer) =
            Journal::open(&settings.journal(), stdout).map_err(|error| match error {
                OpenError::File(error) => Failure::Run(unopened(&settings.log_file, &error)),
                OpenError::Thread(error) => Failure::Run(threads::refused(&error)),
            })?;
        let (stopper, stop) = stop::channel();
        let (failing, failures) = mpsc::channel(1);
        let occupancy = Arc::new(Occupancy::new(max_connections, settings.max_per_address));
        let metrics = Arc::new(Metrics::new(
            settings.workers(),
            Service::paths(),
            occupancy,
            journal.clone(),
        ));
        let health = Health { journal: journal.clone(), stop };
        let services = service::State::new(host_name(), Arc::clone(&metrics), health.clone());
        let services = Arc::new(if settings.probe { services } else { services.without_probe() });
        let (workers, ended) = start_workers(settings, &metrics, &services, &journal, &failing)
            .map_err(|error| Failure::Run(unstarted(settings.workers(), &error)))?;
        before_listening();
        let listeners = listen("LISTEN", sockets)?;
        let tls = tls.map(TlsSockets::listen).transpose()?;
        let http = Http {
            health,
            metrics: Arc::clone(&metrics),
            services,
            default_service: settings.default_service,
            compression: settings.compression,
            origins: settings.allowed_origins.clone(),
            proxies: settings.trusted_proxies.clone().unwrap_or_default(),
            own: addresses(&listeners).next().map_or(Ipv4Addr::LOCALHOST.into(), |own| own.ip()),
            refused_requests: Throttle::default(),
            refused_origins: Throttle::default(),
        };
        let front = Front::new(Handshaker::new(http), workers, metrics, budget.sockets);
        let mut bound = addresses(&listeners);
        info!(
            "listening on ws://{}, log {} (LOG_SYNC {}, WORKERS {}, MAX_CONNECTIONS {max_connections})",
            bound.next().map_or_else(|| settings.listen.to_string(), |address| address.to_string()),
            journal.path().display(),
            settings.log_sync,
            ended.len(),
        );
        bound.for_each(|address| info!("listening on ws://{address}"));
        for address in tls.iter().flat_map(|tls| addresses(&tls.listeners)) {
            info!("listening on wss://{address}");
        }
        Ok(Self {
            drain_timeout: settings.drain_timeout,
            listeners,
            tls,
            front,
            ended,
            failures,
            journal,
            closer,
            stopper,
        })
    }

    /// The first address that the server listens on without TLS.
    ///
    /// # Errors
    /// When the system does not know the address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listeners
            .first()
            .map_or(Err(io::ErrorKind::NotConnected.into()), TcpListener::local_addr)
    }

    /// The action on SIGHUP: opens the log and reads the certificate anew.
    pub fn on_sighup(&self) -> impl Fn() + Send + 'static {
        let journal = self.journal.clone();
        let reload = self.tls.as_ref().map(|tls| tls.reload.clone());
        move || {
            journal.reopen();
            reload.iter().for_each(tls::Reload::reload);
        }
    }

    /// Serves until the stop. Then closes every connection with a Close frame (1001), and syncs and
    /// closes the log.
    ///
    /// # Errors
    /// When a worker or the log failed, or when the disk may not hold the last lines.
    pub async fn run(self, mut stop: Stop) -> Result<(), Failure> {
        let Self { drain_timeout, listeners, tls, front, ended, mut failures, .. } = self;
        let result = select! {
            () = accept(&front, &listeners, tls.as_ref()) => Ok(()),
            () = stop.wait() => Ok(()),
            never = self.journal.watch_calls() => match never {},
            cause = self.journal.failed() => Err(Failure::Run(cause.to_string())),
            Some(cause) = failures.recv() => Err(Failure::Run(cause)),
        };
        let deadline = Instant::now() + drain_timeout;
        drop((listeners, tls));
        let open: usize = front.workers().iter().map(|worker| worker.load()).sum();
        info!("stopping; connections to close: {open}");
        self.stopper.stop();
        let for_connections = drain_timeout.saturating_sub(last_sync(drain_timeout));
        if timeout(for_connections, drain(&front, ended)).await.is_err() {
            warn!("connections were still open after {for_connections:?} of DRAIN_TIMEOUT");
        }
        let closed = self.closer.close(deadline).map_err(|cause| Failure::Run(cause.to_string()));
        info!("stopped");
        result.and(closed)
    }
}

/// The part of `DRAIN_TIMEOUT` that is kept for the last sync of the log.
fn last_sync(drain_timeout: Duration) -> Duration {
    (drain_timeout / 4).min(Duration::from_secs(1))
}

/// The error for a log that cannot be opened, with advice.
fn unopened(path: &Path, error: &io::Error) -> String {
    let folder = path.parent().filter(|folder| *folder != Path::new("") && !folder.exists());
    let advice = match (folder, error.kind()) {
        (_, io::ErrorKind::InvalidFilename) => "choose a shorter name".into(),
        (Some(folder), _) => format!("make the folder first: mkdir -p {}", folder.display()),
        (None, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            "make room on the disk, or name a file on another one".into()
        }
        (None, _) => "name a file in a folder that this user may write to".into(),
    };
    format!("LOG_FILE {} cannot be opened for writing: {error}; {advice}", path.display())
}

/// The error for a worker that cannot be started, with advice.
fn unstarted(workers: usize, error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::WouldBlock {
        return format!("cannot start a worker: {error}");
    }
    let refused = threads::refused(error);
    if workers == 1 {
        refused
    } else {
        format!("{refused}, or set WORKERS to fewer than {workers}")
    }
}

fn check_log_file(settings: &Settings) -> Result<(), Failure> {
    let path = &settings.log_file;
    journal::check_path(path).map_err(|kind| {
        Failure::Setting(format!("LOG_FILE (--log-file) is {path:?}, {kind}, but allowed is a regular file of its own; each line goes to the standard output as well, so name a file such as server_logs.txt"))
    })
}

/// Accepts connections at all listeners, for ever.
async fn accept(front: &Front, listeners: &[TcpListener], tls: Option<&TlsListeners>) {
    let plain = listeners.iter().map(|listener| front.serve(listener, None));
    let acceptor = tls.map(|tls| TlsAcceptor::from(Arc::clone(&tls.config)));
    let secure = tls.iter().flat_map(|tls| &tls.listeners);
    let secure = secure.map(|listener| front.serve(listener, acceptor.as_ref()));
    join!(join_all(plain), join_all(secure));
}

/// Ends all handshakes and connections.
async fn drain(front: &Front, ended: Vec<worker::Ended>) {
    front.workers().iter().for_each(|worker| worker.stop());
    front.drain(HANDSHAKE_GRACE).await;
    front.workers().iter().for_each(|worker| worker.close());
    join_all(ended).await;
}

fn start_workers(
    settings: &Settings,
    metrics: &Arc<Metrics>,
    services: &Arc<service::State>,
    journal: &Journal,
    failures: &mpsc::Sender<String>,
) -> io::Result<(Vec<Worker>, Vec<worker::Ended>)> {
    let invalid_messages = Arc::default();
    let counts = metrics.workers();
    let limits = settings.limits(counts.len());
    let start = |(number, counts): (usize, &Arc<WorkerMetrics>)| {
        let shared = Shared {
            limits,
            services: Arc::clone(services),
            metrics: Arc::clone(metrics),
            counts: Arc::clone(counts),
            invalid_messages: Arc::clone(&invalid_messages),
        };
        worker::start(number, shared, journal, failures.clone())
    };
    counts.iter().enumerate().map(start).collect()
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn addresses(listeners: &[TcpListener]) -> impl Iterator<Item = SocketAddr> {
    listeners.iter().filter_map(|listener| listener.local_addr().ok())
}

/// Opens the certificate, if `TLS_DIR` is set.
fn open_tls(settings: &Settings) -> Result<Option<Tls>, Failure> {
    let Some(dir) = &settings.tls_dir else { return Ok(None) };
    let names = settings.tls_names.clone().unwrap_or_default();
    let options = tls::Options { dir: dir.clone(), names, host: host_name() };
    let tls = Tls::open(options);
    tls.map(Some)
        .map_err(|cause| Failure::Setting(format!("TLS_DIR (--tls-dir) is {dir:?}, but {cause}")))
}

/// Listens on all sockets of a setting.
fn listen(setting: &str, sockets: Vec<TcpSocket>) -> Result<Vec<TcpListener>, Failure> {
    let listen = |socket: TcpSocket| {
        let address = socket.local_addr().map_err(|error| format!("cannot listen: {error}"))?;
        listener::listen(socket).map_err(|error| refusal(setting, address, &[], &error))
    };
    sockets.into_iter().map(listen).collect::<Result<_, _>>().map_err(Failure::Run)
}

impl TlsSockets {
    /// Binds the sockets, and keeps the certificate up to date.
    fn start(tls: Tls, address: &ListenAddress, own: &[SocketAddr]) -> Result<Self, Failure> {
        let sockets = address.bind("TLS_LISTEN", own, listener::bind).map_err(Failure::Run)?;
        let (config, reload) =
            tls.start().map_err(|error| Failure::Run(threads::refused(&error)))?;
        Ok(Self { sockets, config, reload })
    }

    fn listen(self) -> Result<TlsListeners, Failure> {
        let Self { sockets, config, reload } = self;
        Ok(TlsListeners { listeners: listen("TLS_LISTEN", sockets)?, config, reload })
    }
}
