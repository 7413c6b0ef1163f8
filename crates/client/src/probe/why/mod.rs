//! Why a connection fails, or what happens to it between client and server.
//!
//! One upgrade is shown in detail: its phases (`chart`), the certificate (`certificate`), the answer
//! (`answer`). If there is no connection, `refused` makes further requests, and `diagnose` finds the
//! rows of the table of causes ([`super::diagnosis`]). If there is one, `connected` tries what passes
//! (`trials`), connects again where a further connection fails (`failures`), and compares the request
//! that was sent with the one that arrived (`changed`). The result is a `verdict`.

mod answer;
mod certificate;
mod changed;
mod chart;
mod connected;
mod diagnose;
mod failures;
mod refused;
mod trials;
mod verdict;

use std::time::Duration;

use program::stop::Stop;
use tokio::select;

use super::output::{Finding, Printer, ProbeOutput};
use crate::connection_report::ConnectionReport;
use crate::net::fault::Progress;
use crate::net::tls::Session;
use crate::net::{self, Endpoint};
use crate::verdict::Verdict;
use verdict::Fields;

/// Largest message that is tried unless the options say otherwise, in bytes.
const MAX_SIZE: usize = 1 << 20;

/// What to probe, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server.
    pub endpoint: Endpoint,
    /// Longest wait for an answer (`PONG_TIMEOUT`).
    pub patience: Duration,
    /// Size of a message that has to pass, in bytes. With 0, no message is sent.
    pub max_size: Option<usize>,
    /// Prints one JSON object per line.
    pub json: bool,
}

/// Runs the probe.
///
/// # Errors
/// If the client itself cannot run the probe, for example because stdout cannot be written; the
/// error says why.
pub async fn run(options: Options, mut stop: Stop) -> Result<Verdict, String> {
    let mut output = ProbeOutput::open(options.json)?;
    let reporter = Reporter { printer: output.printer(), options: &options };
    let finding = select! {
        finding = Box::pin(probe(&options, &reporter)) => finding,
        () = output.over(&mut stop) => Finding {
            probe: NAME,
            ok: None,
            text: "stopped before that was found out".into(),
            fields: Fields::default(),
        },
    };
    reporter.printer.live(String::new());
    reporter.line("").await;
    output.finish(finding).await
}

const NAME: &str = "why";

async fn probe(options: &Options, reporter: &Reporter<'_>) -> Finding<Fields> {
    options.endpoint.warn_if_unchecked();
    reporter.live("connecting");
    match net::open(&options.endpoint).await {
        Ok(opened) => Box::pin(connected::probe(options, opened, reporter)).await,
        Err(error) => refused::probe(options, &error, reporter).await,
    }
}

/// Prints what the probe finds while it runs.
struct Reporter<'a> {
    printer: Printer,
    options: &'a Options,
}

impl Reporter<'_> {
    /// Shows what the probe is doing.
    fn live(&self, doing: &str) {
        self.printer.live(format!("{}: {doing} …", self.options.endpoint.url));
    }

    /// Prints where the connection leads, and the phases until it was open or failed.
    async fn connection(
        &self,
        connection: &ConnectionReport,
        progress: &Progress,
        has_failed: bool,
    ) {
        let endpoint = &self.options.endpoint;
        let url = endpoint.url.to_string();
        self.printer.record("connection", &connection.fields(&url, None)).await;
        self.line(&format!("{url} at {}", connection.address)).await;
        let failed = progress.failed().filter(|_| has_failed);
        self.titled("phases", &chart::lines(&progress.phases, failed)).await;
        if progress.phases.proxy.is_some() {
            let is_secure = endpoint.url.tls_name().is_some();
            let proxy = endpoint.options.proxies.proxy_for(endpoint.url.host(), is_secure);
            let proxy = proxy.map(ToString::to_string).unwrap_or_default();
            let meaning = format!(
                "name and TCP are those of {proxy}; its own way to the server is in its phase; TLS and upgrade are with the server"
            );
            self.titled("through", &[meaning]).await;
        }
        if let Some(session) = &progress.session {
            self.titled("TLS", &session_lines(session)).await;
        }
    }

    async fn line(&self, text: &str) {
        self.printer.line(text).await;
    }

    /// Prints lines under a title, which stands before the first one.
    async fn titled(&self, title: &str, lines: &[impl AsRef<str>]) {
        for (number, line) in lines.iter().enumerate() {
            let title = if number == 0 { title } else { "" };
            self.line(&format!("{title:<12} {}", line.as_ref())).await;
        }
    }
}

/// TLS version and certificate, as lines.
fn session_lines(session: &Session) -> Vec<String> {
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
