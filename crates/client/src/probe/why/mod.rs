//! Why a connection fails, or what the way does to a connection.
//!
//! One upgrade is done by hand, and shown: its phases (`chart`), the certificate (`certificate`),
//! the answer (`answer`). Where there is no connection, `refused` finds out more with further
//! requests, and `diagnose` finds the row of the table ([`super::diagnosis`]). Where there is one,
//! `connected` tries what passes (`trials`), and compares what was sent with what arrived
//! (`changed`).

mod answer;
mod certificate;
mod changed;
mod chart;
mod connected;
mod diagnose;
mod refused;
mod trials;
mod verdict;

use std::time::Duration;

use program::stop::Stop;
use tokio::select;

use super::report::{Finding, Printer, Report};
use crate::connection::Connection;
use crate::mode::Verdict;
use crate::net::fault::Progress;
use crate::net::tls::Session;
use crate::net::{self, Endpoint};
use verdict::Fields;

/// Largest message that is tried where none was asked for, in bytes.
const MAX_SIZE: usize = 1 << 20;

/// What to probe, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server.
    pub endpoint: Endpoint,
    /// Longest wait for an answer (`PONG_TIMEOUT`).
    pub patience: Duration,
    /// Size of a message that has to pass, in bytes; none is sent where it is 0.
    pub max_size: Option<usize>,
    /// Prints one JSON object per line.
    pub json: bool,
}

/// Runs the probe.
///
/// # Errors
/// Why the client itself cannot do it.
pub async fn run(options: Options, mut stop: Stop) -> Result<Verdict, String> {
    let mut report = Report::open(options.json)?;
    let teller = Teller { printer: report.printer(), options: &options };
    let finding = select! {
        finding = Box::pin(probe(&options, &teller)) => finding,
        () = report.over(&mut stop) => Finding {
            probe: NAME,
            ok: None,
            text: "stopped before that was found out".into(),
            fields: Fields::default(),
        },
    };
    teller.printer.live(String::new());
    teller.line("").await;
    report.finish(finding).await
}

const NAME: &str = "why";

async fn probe(options: &Options, teller: &Teller<'_>) -> Finding<Fields> {
    options.endpoint.warn_if_unchecked();
    teller.live("connecting");
    match net::open(&options.endpoint).await {
        Ok(opened) => Box::pin(connected::probe(options, opened, teller)).await,
        Err(error) => refused::probe(options, &error, teller).await,
    }
}

/// Tells what the probe finds while it runs.
struct Teller<'a> {
    printer: Printer,
    options: &'a Options,
}

impl Teller<'_> {
    /// Shows what the probe does.
    fn live(&self, doing: &str) {
        self.printer.live(format!("{}: {doing} …", self.options.endpoint.url));
    }

    /// Tells where the connection leads, and what it took to make, or to fail.
    async fn connection(&self, connection: &Connection, progress: &Progress, has_failed: bool) {
        let endpoint = &self.options.endpoint;
        let url = endpoint.url.to_string();
        self.printer.record("connection", &connection.fields(&url, None)).await;
        self.line(&format!("{url} at {}", connection.address)).await;
        let failed = progress.failed().filter(|_| has_failed);
        self.told("phases", &chart::lines(&progress.phases, failed)).await;
        if progress.phases.proxy.is_some() {
            let is_secure = endpoint.url.tls_name().is_some();
            let proxy = endpoint.options.proxies.proxy_for(endpoint.url.host(), is_secure);
            let proxy = proxy.map(ToString::to_string).unwrap_or_default();
            let meaning = format!(
                "name and TCP are those of {proxy}; its own way to the server is in its phase; TLS and upgrade are with the server"
            );
            self.told("through", &[meaning]).await;
        }
        if let Some(session) = &progress.session {
            self.told("TLS", &session_told(session)).await;
        }
    }

    async fn line(&self, text: &str) {
        self.printer.line(text).await;
    }

    /// Tells something under a title, the further lines below the first.
    async fn told(&self, title: &str, lines: &[String]) {
        for (number, line) in lines.iter().enumerate() {
            let title = if number == 0 { title } else { "" };
            self.line(&format!("{title:<12} {line}")).await;
        }
    }
}

/// Version and certificate of TLS.
fn session_told(session: &Session) -> Vec<String> {
    let version = session.version.unwrap_or("no agreement");
    let Some(der) = &session.certificate else {
        return vec![format!("{version}, without a certificate")];
    };
    match certificate::read(der) {
        Some(certificate::Certificate { subject, issuer, valid: [from, to] }) => vec![
            format!("{version}, certificate of {subject}"),
            format!("issued by {issuer}, valid from {from} to {to}"),
        ],
        None => vec![format!("{version}, with a certificate that cannot be read")],
    }
}
