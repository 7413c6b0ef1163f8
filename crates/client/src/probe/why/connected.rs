//! The probe if there is a connection: what passes over it, and what intermediaries change.

use std::fmt::Display;
use std::time::Duration;

use proto::frame::Opcode;

use super::changed::{Change, Head, final_head, in_answer, in_request, lines};
use super::diagnose::Diagnosis;
use super::failures::{Failures, Pattern, is_full};
use super::trials::{Compression, Largest, Outcome, Trials};
use super::verdict::{Fields, Fit, Limits, either};
use super::{MAX_SIZE, NAME, Options, Reporter, answer};
use crate::connection_report::ConnectionReport;
use crate::net::ending::Ending;
use crate::net::fault::Progress;
use crate::net::upgrade::shortened;
use crate::net::{ConnectError, Opened};
use crate::probe::diagnosis::row;
use crate::probe::link::Link;
use crate::probe::output::Finding;

/// Longest wait for the hello of a server at `/probe`.
const HELLO: Duration = Duration::from_secs(3);

/// The row about messages that are too large.
const TOO_LARGE: u8 = 19;

/// The row about extensions that one end does not speak.
const EXTENSION: u8 = 29;

/// The probe while it runs.
struct Run<'a> {
    options: &'a Options,
    reporter: &'a Reporter<'a>,
    found: Found,
}

/// The results of the trials.
#[derive(Debug, Default)]
struct Found {
    limits: Limits,
    changed: Vec<Change>,
    /// The faults, in sentences.
    broken: Vec<String>,
    /// Rows of the table of causes that fit.
    rows: Vec<u8>,
    /// A limit that may be a setting of the server, or a fault of an intermediary.
    doubtful: Option<String>,
    /// The answer of a server that had no room for a further connection.
    no_room: Option<String>,
    /// Further connections that could not be opened for another reason.
    failures: Option<Failures>,
}

impl Found {
    fn broken(&mut self, what: String, row: Option<u8>) {
        self.broken.push(what);
        self.rows.extend(row);
    }

    /// Records an unexpected end.
    fn ended(&mut self, when: &str, ending: &impl Display) {
        let ending = ending.to_string();
        let row = ending.contains("reserved bit").then_some(EXTENSION);
        self.broken(format!("{when}: {ending}"), row);
    }
}

pub(super) async fn probe(
    options: &Options,
    opened: Opened,
    reporter: &Reporter<'_>,
) -> Finding<Fields> {
    let progress = Progress {
        phases: opened.phases,
        address: Some(opened.address.clone()),
        session: opened.session.clone(),
        proxy: None,
    };
    let headers = opened.agreed.headers.clone();
    let mut connection = ConnectionReport::new(opened.address.to_string(), opened.phases);
    let patience = options.patience.min(HELLO);
    let link = Link::over(opened, &options.endpoint.url, patience).await;
    connection.instance =
        link.as_ref().ok().and_then(|link| Some(link.hello()?.instance.into_owned()));
    reporter.connection(&connection, &progress, false).await;
    let mut lines = vec!["HTTP/1.1 101 Switching Protocols".to_owned()];
    lines.extend(answer::who(&headers));
    reporter.titled("answer", &lines).await;
    let mut run = Run { options, reporter, found: Found::default() };
    match link {
        Ok(link) => run.try_all(link).await,
        Err(error) => run.found.ended("it ended right after the upgrade", &error),
    }
    let intermediaries = answer::intermediaries(&headers, "");
    finding(options, run.found, Diagnosis { intermediaries, ..Diagnosis::default() })
}

impl Run<'_> {
    async fn try_all(&mut self, link: Link) {
        self.compare(&link).await;
        self.subprotocol(&link).await;
        let mut trials = Trials::new(&self.options.endpoint, self.options.patience, link);
        if let Err(error) = self.try_frames(&mut trials).await {
            self.unopened(error).await;
        }
        self.reporter.live("offering compression");
        match self.offer_compression(&mut trials).await {
            Ok(compression) => self.show_compression(compression).await,
            Err(error) => {
                self.reporter.titled("compression", &[format!("not tried: {error}")]).await;
            }
        }
    }

    /// Offers compression. If there is no connection, the offer is to blame only where those without
    /// the offer are made, and another with the offer is not.
    async fn offer_compression(
        &mut self,
        trials: &mut Trials<'_>,
    ) -> Result<Compression, ConnectError> {
        let sends_text = self.found.limits.text == Some(true);
        let compression = trials.compression(sends_text).await;
        let Err(error) = compression else { return compression };
        let is_first = self.found.failures.is_none();
        self.unopened(error.clone()).await;
        let have_passed = self
            .found
            .failures
            .as_ref()
            .is_some_and(|failures| failures.pattern == Pattern::Passing);
        if !(is_first && have_passed) {
            return Err(error);
        }
        let compression = trials.compression(sends_text).await;
        if let Err(error) = &compression {
            self.found.failures = None;
            self.found.ended("with compression offered there is no connection", error);
        }
        compression
    }

    /// Records that a further connection could not be opened, and finds out whether others can. The
    /// trial that needed the connection is not to blame.
    async fn unopened(&mut self, error: ConnectError) {
        if is_full(&error) {
            self.found.no_room = Some(error.to_string());
        } else if self.found.failures.is_none() {
            self.reporter.live("connecting again");
            self.found.failures = Some(Failures::observe(&self.options.endpoint, error).await);
        }
    }

    async fn show_compression(&mut self, compression: Compression) {
        const AGREED: &str = "permessage-deflate is agreed on when offered";
        let (name, text) = match compression {
            Compression::Agreed(None) => ("agreed", AGREED.to_owned()),
            Compression::Agreed(Some(Ok(_))) => {
                ("agreed", format!("{AGREED}, and a compressed text passes"))
            }
            Compression::Agreed(Some(Err(ending))) => {
                self.found.ended("a compressed text does not pass", &ending);
                ("agreed", format!("{AGREED}, but a compressed text does not pass: {ending}"))
            }
            Compression::Declined => ("declined", "not agreed on when offered".to_owned()),
            Compression::Dropped => {
                ("dropped", "the offer is dropped on the way to the server".to_owned())
            }
        };
        self.found.limits.compression = Some(name);
        self.reporter.titled("compression", &[text]).await;
    }

    /// Prints what intermediaries changed, and the address that the server sees.
    async fn compare(&mut self, link: &Link) {
        let Some(hello) = link.hello() else { return };
        let transcript = &link.agreed.transcript;
        let sent = Head::of(&transcript.sent);
        let arrived = Head::arrived(&hello.request);
        self.found.changed = in_request(&sent, &arrived);
        self.found.changed.extend(in_answer(&final_head(&transcript.received)));
        let lines = match lines(&self.found.changed) {
            lines if lines.is_empty() => vec!["nothing, in request and answer".to_owned()],
            lines => lines,
        };
        self.reporter.titled("changed", &lines).await;
        let own = link.stream().tcp().and_then(|stream| stream.local_addr().ok());
        let direct = match own {
            Some(own) if own.to_string() == hello.peer => {
                ", which is this client: nothing is between"
            }
            Some(_) => ", which is not this client: something is between",
            None => "",
        };
        let tls = match (hello.tls, link.session.is_some()) {
            (true, _) => "with TLS",
            (false, true) => "without TLS, which ends on the way",
            (false, false) => "without TLS",
        };
        let peer = shortened(&hello.peer);
        let line = format!("the server is asked from {peer}{direct}; {tls}");
        self.reporter.titled("seen", &[line]).await;
    }

    async fn subprotocol(&mut self, link: &Link) {
        let offered = &self.options.endpoint.options.request.subprotocols;
        if offered.is_empty() {
            return self.reporter.titled("subprotocol", &["none offered (--subprotocol)"]).await;
        }
        self.found.limits.subprotocol.clone_from(&link.agreed.subprotocol);
        let offered = offered.join(", ");
        let has_arrived = link.hello().is_none_or(|hello| {
            Head::arrived(&hello.request).get("sec-websocket-protocol").is_some()
        });
        let line = match &link.agreed.subprotocol {
            Some(chosen) => format!("{chosen}, of those that were offered ({offered})"),
            None if has_arrived => format!("none of those that were offered ({offered})"),
            None => {
                let what = "the offer of subprotocols is dropped on the way to the server";
                self.found.broken(what.into(), None);
                what.into()
            }
        };
        self.reporter.titled("subprotocol", &[line]).await;
    }

    async fn try_frames(&mut self, trials: &mut Trials<'_>) -> Result<(), ConnectError> {
        self.reporter.live("sending Ping frames");
        let are_answered = self.try_pings(trials).await?;
        // Each further trial has a Ping frame at its end.
        if are_answered && self.options.max_size != Some(0) {
            self.reporter.live("sending messages");
            self.try_messages(trials).await?;
        }
        Ok(())
    }

    /// Ping frames in both directions. Returns whether those of the client are answered.
    async fn try_pings(&mut self, trials: &mut Trials<'_>) -> Result<bool, ConnectError> {
        let outcome = trials.ping().await?;
        self.found.limits.protocol_ping = Some(outcome.is_ok());
        let time = match outcome {
            Ok(time) => time,
            Err(ending) => {
                self.found.ended("a Ping frame is not answered", &ending);
                self.reporter.titled("Ping frames", &[format!("not answered: {ending}")]).await;
                return Ok(false);
            }
        };
        self.found.limits.server_ping = trials.ping_of_server().await?;
        let of_server = match self.found.limits.server_ping {
            Some(true) => "those of the server arrive",
            Some(false) => "those of the server do not arrive",
            None => "those of the server are not known: it cannot be asked for one",
        };
        if self.found.limits.server_ping == Some(false) {
            self.found.broken("Ping frames of the server do not arrive".into(), None);
        }
        let answered = format!("answered after {:.2} ms", time.as_secs_f64() * 1e3);
        self.reporter.titled("Ping frames", &[answered, of_server.to_owned()]).await;
        Ok(true)
    }

    async fn try_messages(&mut self, trials: &mut Trials<'_>) -> Result<(), ConnectError> {
        let outcome = trials.message(Opcode::Text, 30).await?;
        self.found.limits.text = Some(self.kind("text", outcome).await);
        let outcome = trials.fragments().await?;
        self.found.limits.fragments = Some(self.kind("fragments", outcome).await);
        if self.found.limits.text == Some(true) {
            let tell = |size| self.reporter.live(&format!("sending a message of {size} bytes"));
            let largest = trials.largest(self.options.max_size.unwrap_or(MAX_SIZE), tell).await;
            self.size(largest).await;
        }
        let outcome = trials.message(Opcode::Binary, 30).await?;
        // Not a fault: a service need not take binary messages.
        let line = match &outcome {
            Ok(_) => "passes".to_owned(),
            Err(ending) => format!("not taken: {ending}"),
        };
        self.found.limits.binary = Some(outcome.is_ok());
        self.reporter.titled("binary", &[line]).await;
        Ok(())
    }

    /// Prints whether a kind of message passes.
    async fn kind(&mut self, name: &str, outcome: Outcome) -> bool {
        let line = match &outcome {
            Ok(_) => "passes".to_owned(),
            Err(ending) => {
                self.found.ended(&format!("{name} does not pass"), ending);
                format!("does not pass: {ending}")
            }
        };
        self.reporter.titled(name, &[line]).await;
        outcome.is_ok()
    }

    /// Prints the largest message that passes.
    async fn size(&mut self, largest: Largest) {
        let Largest { passed, failed, broken_off } = largest;
        self.found.limits.message = Some(passed);
        let mut lines = match &failed {
            None => vec![format!("{passed} bytes pass, and more were not tried")],
            Some((size, ending)) => vec![
                format!("{passed} bytes pass, and {size} do not: {ending}"),
                format!(
                    "where it is set: {}",
                    row(TOO_LARGE).map_or_else(String::new, |row| row.advice(&[]))
                ),
            ],
        };
        if let Some(error) = &broken_off {
            lines.push(format!("between them is not known: {error}"));
        }
        // A limit is a setting of the server, not a fault, unless the user asked for more.
        if let Some((size, ending)) = failed {
            let what = format!("a message of {size} bytes does not pass, and {passed} bytes do");
            if self.options.max_size.is_some() || passed == 0 {
                self.found.broken(format!("{what}: {ending}"), Some(TOO_LARGE));
            } else if matches!(ending, Ending::Lost(_) | Ending::NoPong(_)) {
                let what = format!("{what}, without a Close frame that says why: {ending}");
                self.found.doubtful = Some(what);
            }
        }
        self.reporter.titled("message", &lines).await;
        if let Some(error) = broken_off {
            self.unopened(error).await;
        }
    }
}

fn finding(options: &Options, found: Found, diagnosis: Diagnosis) -> Finding<Fields> {
    let Found { limits, changed, mut broken, mut rows, doubtful, no_room, failures } = found;
    let mut ok = Some(broken.is_empty());
    let mut intermediaries = diagnosis.intermediaries;
    if let Some(failures) = failures {
        broken.push(failures.words());
        let diagnosis = failures.diagnosis();
        rows.extend(diagnosis.rows);
        intermediaries.extend(diagnosis.intermediaries);
        ok = if failures.is_certain() { Some(false) } else { ok.filter(|is_ok| !is_ok) };
    }
    let fits = Fit::all(&Diagnosis { rows, intermediaries, ..Diagnosis::default() });
    let is_ok = broken.is_empty();
    let mut lines = match is_ok {
        true => vec!["connected, and nothing on the way is broken".to_owned()],
        false => vec![format!("connected, but {}", broken.join("; "))],
    };
    lines.extend(doubtful.map(|what| format!("but {what}")));
    lines.extend(no_room.map(|answer| {
        format!("but there was no room for a further connection, and what needs one was not tried: {answer}")
    }));
    if is_ok {
        let url = &options.endpoint.url;
        lines.push(format!("silence was not tried: client idle {url} does that"));
    }
    for Fit { cause, change, .. } in &fits {
        lines.push(format!("cause: {cause}"));
        lines.push(format!("change: {change}"));
    }
    let cause = either(fits.iter().map(|fit| fit.cause.clone()))
        .or_else(|| Some(broken.join("; ")).filter(|text| !text.is_empty()));
    let change = either(fits.iter().map(|fit| fit.change.clone()));
    let text = lines.join(if options.json { "; " } else { "\n" });
    let fields = Fields { status: Some(101), cause, change, fits, changed, limits };
    Finding { probe: NAME, ok, text, fields }
}
