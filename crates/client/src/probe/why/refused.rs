//! The probe if there is no connection: further requests that narrow the cause down, and the verdict.

use hyper::header::{HeaderValue, ORIGIN};

use super::diagnose::{Case, Diagnosis, diagnose};
use super::verdict::{Fields, Fit, either};
use super::{NAME, Options, Reporter, answer};
use crate::connection_report::ConnectionReport;
use crate::net::ending::Ending;
use crate::net::fault::{Fault, Refusal};
use crate::net::upgrade::{is_http2, shortened};
use crate::net::{self, ConnectError, Endpoint};
use crate::probe::link::Link;
use crate::probe::output::Finding;

/// Statuses for which the answer to a request without the upgrade helps.
const COMPARED: [u16; 5] = [200, 400, 404, 426, 505];

/// Bytes that are shown of an answer that is not HTTP.
const SHOWN: usize = 60;

pub(super) async fn probe(
    options: &Options,
    error: &ConnectError,
    reporter: &Reporter<'_>,
) -> Finding<Fields> {
    let progress = error.progress();
    let address =
        progress.address.as_ref().map_or_else(|| "no address".into(), ToString::to_string);
    reporter.connection(&ConnectionReport::new(address, progress.phases), progress, true).await;
    let answer = answer_of(error.fault());
    match (answer, error.fault()) {
        (Some(answer), _) => reporter.titled("answer", &answer::lines(answer)).await,
        (None, Fault::NotHttp(bytes)) if is_http2(bytes) => {
            reporter.titled("answer", &["frames of HTTP/2"]).await;
        }
        (None, Fault::NotHttp(bytes)) if !bytes.is_empty() => {
            let start = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]).into_owned();
            let what = if is_http1(bytes) { "not valid HTTP/1" } else { "not HTTP/1" };
            reporter.titled("answer", &[format!("{what}: {}", shortened(&start))]).await;
        }
        _ => {}
    }
    let (diagnosis, origin) = find(options, error, reporter).await;
    judge(options, error, &diagnosis, origin.as_ref())
}

/// Whether an answer begins with a status line of HTTP/1, and is invalid further on.
fn is_http1(bytes: &[u8]) -> bool {
    bytes.starts_with(b"HTTP/1.")
}

fn answer_of(fault: &Fault) -> Option<&Refusal> {
    match fault {
        Fault::Refused(answer) | Fault::ProxyRefused(answer) | Fault::BadSwitch { answer, .. } => {
            Some(answer)
        }
        _ => None,
    }
}

/// An `Origin` header, or none.
type Origin = Option<String>;

/// The diagnosis, and the `Origin` that helps, if one does.
async fn find(
    options: &Options,
    error: &ConnectError,
    reporter: &Reporter<'_>,
) -> (Diagnosis, Option<Origin>) {
    let (fault, step) = (error.fault(), error.progress().failed());
    let (mut plain, mut origin) = (None, None);
    if let Fault::Refused(answer) = fault {
        let status = answer.status.as_u16();
        // With redirects, a request without the upgrade could lead elsewhere.
        if COMPARED.contains(&status) && !options.endpoint.options.follows_redirects {
            reporter.live("asking without an upgrade");
            // An answer that there is no room says nothing about the upgrade.
            let answer = net::get(&options.endpoint).await.ok();
            plain = answer.filter(|answer| !answer.is_lack_of_room());
        }
        if status == 403 {
            reporter.live("asking with another Origin");
            origin = helpful_origin(options).await;
        }
    }
    let case = Case { fault, step, plain: plain.as_deref(), origin_helps: origin.is_some() };
    (diagnose(case), origin)
}

/// The `Origin` of the server's own pages.
fn own_origin(options: &Options) -> String {
    let url = &options.endpoint.url;
    let scheme = if url.tls_name().is_some() { "https" } else { "http" };
    format!("{scheme}://{}", url.host_header())
}

/// Whether the `Origin` that is sent is that of the server's own pages.
fn is_own(options: &Options) -> bool {
    let given = options.endpoint.options.request.headers.get(ORIGIN);
    given.is_some_and(|given| *given == own_origin(options))
}

/// The `Origin` that this project's server refuses, if that is not the one that was sent.
fn other_origin<'a>(options: &Options, answer: &'a Refusal) -> Option<&'a str> {
    let (arrived, _) =
        answer.body.strip_prefix("Pages of ")?.split_once(" may not connect here")?;
    let sent = options.endpoint.options.request.headers.get(ORIGIN);
    // The server shows the beginning of a long one, and escapes what is not plain text.
    let is_beginning = |sent: &HeaderValue| {
        let beginning = sent.as_bytes().get(..arrived.len());
        beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(arrived.as_bytes()))
    };
    let is_plain = !arrived.contains('\\');
    (is_plain && !sent.is_some_and(is_beginning)).then_some(arrived)
}

/// An `Origin` with which the server upgrades: that of its own pages, or none where one was sent.
async fn helpful_origin(options: &Options) -> Option<Origin> {
    let own = own_origin(options);
    let given = options.endpoint.options.request.headers.get(ORIGIN);
    let mut candidates = Vec::new();
    if given.is_none_or(|given| *given != own) {
        candidates.push(Some(own));
    }
    if given.is_some() {
        candidates.push(None);
    }
    for candidate in candidates {
        let mut endpoint: Endpoint = options.endpoint.clone();
        let headers = &mut endpoint.options.request.headers;
        headers.remove(ORIGIN);
        if let Some(origin) = &candidate {
            headers.insert(ORIGIN, HeaderValue::try_from(origin.as_str()).ok()?);
        }
        if let Ok(opened) = net::open(&endpoint).await {
            if let Ok(link) = Link::over(opened, &endpoint.url, std::time::Duration::ZERO).await {
                link.close(&Ending::Stopped).await;
            }
            return Some(candidate);
        }
    }
    None
}

fn judge(
    options: &Options,
    error: &ConnectError,
    diagnosis: &Diagnosis,
    origin: Option<&Origin>,
) -> Finding<Fields> {
    let mut fits = Fit::all(diagnosis);
    let answer = answer_of(error.fault());
    if let (Some(arrived), Some(fit)) =
        (answer.and_then(|answer| other_origin(options, answer)), fits.first_mut())
    {
        fit.change = format!(
            "no rule on the way that sets Origin: {} arrived, and that was not sent",
            shortened(arrived)
        );
    } else if let (Some(origin), Some(fit)) = (origin, fits.first_mut()) {
        fit.change = match origin {
            Some(origin) => format!(
                "--origin {origin}; or let the server allow other origins (ALLOWED_ORIGINS of this project's)"
            ),
            // A server that allows its own pages compares `Origin` with `Host`.
            None if is_own(options) => format!("have the proxy leave Host as it is: {}", fit.change),
            None => "let the server allow the one in --origin (ALLOWED_ORIGINS of this project's), or leave that out".into(),
        };
    }
    let is_answered =
        answer.is_some() || matches!(error.fault(), Fault::NotHttp(bytes) if is_http1(bytes));
    let lines = lines(error, &fits, diagnosis.evidence.as_deref(), is_answered);
    let text = lines.join(if options.json { "; " } else { "\n" });
    // Without an answer, the error itself is all that is known, and says what to do.
    let is_only_error = fits.is_empty() && answer.is_none();
    let cause = if is_only_error {
        Some(error.to_string())
    } else {
        either(fits.iter().map(|fit| fit.cause.clone()))
    };
    let change = either(fits.iter().map(|fit| fit.change.clone()));
    let status = answer.map(|answer| answer.status.as_u16());
    // A failure before the first step is one of this client.
    let is_local = error.progress().failed().is_none() && fits.is_empty();
    let fields = Fields { status, cause, change, fits, ..Fields::default() };
    Finding { probe: NAME, ok: if is_local { None } else { Some(false) }, text, fields }
}

/// The lines of the verdict.
fn lines(
    error: &ConnectError,
    fits: &[Fit],
    evidence: Option<&str>,
    is_answered: bool,
) -> Vec<String> {
    let mut evidence = evidence.map_or_else(String::new, |evidence| format!(" ({evidence})"));
    let mut lines = vec![format!("not connected: {error}")];
    for (number, Fit { cause, change, .. }) in fits.iter().enumerate() {
        let which = if number == 0 { "cause" } else { "or" };
        lines.push(format!("{which}: {cause}{}", std::mem::take(&mut evidence)));
        lines.push(format!("change: {change}"));
    }
    if fits.is_empty() && is_answered {
        lines.push(format!(
            "cause: not known{evidence}: the answer fits nothing that is known here"
        ));
    }
    lines
}
