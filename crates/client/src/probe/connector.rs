//! Opens many connections to one server, and reads what names the instance that answered.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use proto::frame::Message;
use proto::probe::MAX_INSTANCE;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::instances::{Evidence, NameSource};
use super::link::Link;
use crate::net::ending::Ending;
use crate::net::route::Route;
use crate::net::source::Sources;
use crate::net::{self, ConnectError, Endpoint};

/// Most bytes of a first message that are kept.
const LONGEST: usize = 4096;

/// How long a route found through redirects is used: finding one takes a connection.
const REDIRECTED: Duration = Duration::from_secs(60);

/// How long servers have for a first message that may name the instance.
const MESSAGE: Duration = Duration::from_secs(1);

/// Opens connections to one server. The name is resolved again and again, as by separate clients.
pub(crate) struct Connector {
    endpoint: Endpoint,
    sources: Sources,
    /// How long a found route is used.
    fresh: Duration,
    found: Mutex<Option<Found>>,
}

struct Found {
    at: Instant,
    route: Result<Rc<Route>, ConnectError>,
}

impl Connector {
    /// A connector that uses these local addresses, and resolves the name anew after `fresh`.
    pub(crate) fn new(endpoint: Endpoint, sources: Sources, fresh: Duration) -> Self {
        let fresh = if endpoint.options.follows_redirects { REDIRECTED } else { fresh };
        Self { endpoint, sources, fresh, found: Mutex::new(None) }
    }

    /// Opens the connection with this number. Waits up to `patience` for the hello of `/probe`.
    ///
    /// # Errors
    /// Why there is no connection.
    pub(crate) async fn connect(
        &self,
        number: u64,
        patience: Duration,
    ) -> Result<Link, ConnectError> {
        self.connect_from(|target| self.sources.source(number, target), patience).await
    }

    /// Opens a connection from the local address that `source` returns for the remote one; `None`
    /// leaves the choice to the kernel.
    ///
    /// # Errors
    /// Why there is no connection.
    pub(crate) async fn connect_from(
        &self,
        source: impl Fn(IpAddr) -> Option<IpAddr>,
        patience: Duration,
    ) -> Result<Link, ConnectError> {
        let route = self.route().await?;
        let opened = net::open_by(&route, source).await;
        if opened.is_err() && self.endpoint.options.follows_redirects {
            // The redirects may lead elsewhere by now.
            *self.found.lock().await = None;
        }
        Link::over(opened?, &self.endpoint.url, patience).await
    }

    async fn route(&self) -> Result<Rc<Route>, ConnectError> {
        if self.fresh.is_zero() {
            return net::find_route(&self.endpoint).await.map(Rc::new);
        }
        // The lock is held during a look-up, so that other callers share its result.
        let mut found = self.found.lock().await;
        if let Some(Found { at, route }) = &*found
            && at.elapsed() < self.fresh
        {
            return route.clone();
        }
        let route = net::find_route(&self.endpoint).await.map(Rc::new);
        *found = Some(Found { at: Instant::now(), route: route.clone() });
        route
    }
}

/// What identifies the instance, without the first message.
pub(crate) fn evidence(link: &Link) -> Evidence {
    let hello = link.hello().map(|hello| {
        let instance = hello.instance;
        instance[..instance.floor_char_boundary(MAX_INSTANCE)].to_owned()
    });
    Evidence { hello, headers: link.agreed.headers.clone(), message: None }
}

/// How long to wait for a first message that names the instance; `None` where none is needed:
/// `by` is known and is no message, or the hello names the instance (`has_hello`).
pub(crate) fn message_wait(
    by: Option<&NameSource>,
    has_hello: bool,
    patience: Duration,
) -> Option<Duration> {
    match by {
        Some(by) => by.is_message().then_some(patience),
        None => (!has_hello).then_some(MESSAGE),
    }
}

/// The first text that the server sends before `until`, if the connection holds.
pub(crate) async fn first_message(link: &mut Link, until: Instant) -> Option<String> {
    let text = async {
        loop {
            if let Message::Text(text) = link.receive().await? {
                return Ok::<_, Ending>(text.into_owned());
            }
        }
    };
    let mut text = timeout_at(until, text).await.ok()?.ok()?;
    text.truncate(text.floor_char_boundary(LONGEST));
    Some(text)
}
