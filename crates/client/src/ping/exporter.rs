//! The HTTP server of the metrics.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::metrics::Metrics;

/// Most concurrent connections.
const MOST: usize = 16;

/// Time limit of a connection with all its requests.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pause after a failed accept, for example when no descriptor is free.
const PAUSE: Duration = Duration::from_millis(100);

/// Starts to serve the metrics at `address`, `HOST:PORT`.
///
/// # Errors
/// Why the address cannot be listened on.
pub(super) async fn start(address: &str, metrics: Metrics) -> Result<(), String> {
    let failed = |error| format!("cannot listen on {address} (METRICS_LISTEN): {error}");
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    info!("metrics at http://{local}/metrics");
    tokio::spawn(serve(listener, metrics));
    Ok(())
}

async fn serve(listener: TcpListener, metrics: Metrics) {
    let places = Arc::new(Semaphore::new(MOST));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let answer = timeout(PATIENCE, answer(stream, metrics.clone()));
                tokio::spawn(async move {
                    let _ = answer.await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!("cannot accept a connection (METRICS_LISTEN): {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn answer(stream: TcpStream, metrics: Metrics) -> hyper::Result<()> {
    let service = service_fn(|request| {
        let response = response(&request, &metrics);
        async { Ok::<_, Infallible>(response) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn response(request: &Request<Incoming>, metrics: &Metrics) -> Response<Full<Bytes>> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let (status, text) = match request.uri().path() {
        _ if !is_read => (StatusCode::METHOD_NOT_ALLOWED, "allowed is GET\n".into()),
        "/metrics" => match metrics.text() {
            Ok(text) => (StatusCode::OK, text),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        _ => (StatusCode::NOT_FOUND, "the metrics are at /metrics\n".into()),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(prometheus::TEXT_FORMAT));
    if !is_read {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}
