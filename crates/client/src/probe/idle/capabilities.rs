//! The capabilities of the server, found out with a first connection.

use std::time::Duration;

use hyper::header::{SERVER, VIA};
use proto::frame::Opcode;
use tokio::time::Instant;

use super::super::link::{Link, within};
use super::super::output::Printer;
use super::Options;
use super::connection::message;
use super::plan::Plan;
use crate::connection_report::ConnectionReport;
use crate::net::ending::Ending;
use crate::net::error::cannot_connect;

/// Time in which a server closes a connection whose message it does not accept.
const REACTION: Duration = Duration::from_secs(1);

/// The capabilities of the server.
#[derive(Debug)]
pub(super) struct Capabilities {
    /// The measurements that are possible.
    pub(super) plan: Plan,
    /// `Via` and `Server` of the answer to the upgrade.
    pub(super) answered_by: Option<String>,
    /// How the server ended the connection over a message.
    pub(super) no_messages: Option<String>,
}

/// Connects for the first time, and finds out what the server can do.
///
/// # Errors
/// Why there is no connection.
pub(super) async fn discover(options: &Options, printer: &Printer) -> Result<Capabilities, String> {
    let Options { endpoint, patience, max, .. } = options;
    let mut link = Link::open(endpoint, *patience)
        .await
        .map_err(|error| cannot_connect(&endpoint.url, &error))?;
    let mut connection = ConnectionReport::new(link.address.to_string(), link.phases);
    connection.instance = link.hello().map(|hello| hello.instance.into_owned());
    let is_probe = connection.instance.is_some();
    let answer = link.ping(*patience).await;
    let first_reply = answer.as_ref().ok().copied();
    let url = endpoint.url.to_string();
    printer.record("connection", &connection.fields(&url, first_reply)).await;

    let no_messages = if is_probe { None } else { try_message(&mut link, options).await.err() };
    let plan = Plan {
        max: *max,
        is_probe,
        takes_messages: no_messages.is_none(),
        answers: answer.is_ok(),
        is_tcp: link.stream().tcp().is_some(),
    };
    let answered_by = answered_by(&link);
    link.close(&Ending::Stopped).await;
    let no_messages = no_messages.map(|ending| ending.to_string());
    Ok(Capabilities { plan, answered_by, no_messages })
}

/// Sends a message to a server that does not speak `/probe`, and waits for a reaction.
///
/// # Errors
/// How the server ended the connection over the message.
async fn try_message(link: &mut Link, options: &Options) -> Result<(), Ending> {
    let Options { patience, max, .. } = *options;
    within(patience, link.send(Opcode::Text, message().as_bytes())).await?;
    link.wait_until(Instant::now() + REACTION.min(max / 5)).await
}

fn answered_by(link: &Link) -> Option<String> {
    let headers = &link.agreed.headers;
    let values = [VIA, SERVER].into_iter().filter_map(|name| headers.get(name));
    let names: Vec<_> = values.filter_map(|value| value.to_str().ok()).collect();
    (!names.is_empty()).then(|| names.join(", "))
}
