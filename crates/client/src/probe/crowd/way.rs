//! The way to the server for many connections.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use proto::frame::Message;
use proto::probe::MAX_INSTANCE;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::instance::Evidence;
use crate::net::route::Route;
use crate::net::source::Sources;
use crate::net::{self, ConnectError, Endpoint};
use crate::probe::link::Link;

/// Longest first message that is looked at, in bytes. Longer ones are cut.
const LONGEST: usize = 4096;

/// How long a way is known that redirects led to. To find it takes a connection.
const REDIRECTED: Duration = Duration::from_secs(60);

/// The way to the server. Names are looked up again and again, as clients of their own would.
pub(crate) struct Way {
    endpoint: Endpoint,
    sources: Sources,
    /// How long a look-up holds.
    fresh: Duration,
    found: Mutex<Option<Found>>,
}

struct Found {
    at: Instant,
    route: Result<Rc<Route>, ConnectError>,
}

impl Way {
    /// The way to a server, from these local addresses; names are looked up after `fresh`.
    pub(crate) fn new(endpoint: Endpoint, sources: Sources, fresh: Duration) -> Self {
        let fresh = if endpoint.options.follows_redirects { REDIRECTED } else { fresh };
        Self { endpoint, sources, fresh, found: Mutex::new(None) }
    }

    /// Makes the connection with this number. Waits up to `patience` for the hello of `/probe`.
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

    /// Makes a connection from the local address that `source` names for the other one, if any.
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
        // Whoever comes while names are looked up waits for what comes of that.
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

/// What a connection shows of its server, without its first message.
pub(crate) fn evidence(link: &Link) -> Evidence {
    let hello = link.hello().map(|hello| {
        let instance = hello.instance;
        instance[..instance.floor_char_boundary(MAX_INSTANCE)].to_owned()
    });
    Evidence { hello, headers: link.agreed.headers.clone(), message: None }
}

/// The first text that the server sends, if it does by then and the connection holds.
pub(crate) async fn first_message(link: &mut Link, until: Instant) -> Option<String> {
    let text = async {
        loop {
            if let Message::Text(text) = link.receive().await? {
                return Ok(text.into_owned());
            }
        }
    };
    let text: Result<String, net::ending::Ending> = timeout_at(until, text).await.ok()?;
    let mut text = text.ok()?;
    text.truncate(text.floor_char_boundary(LONGEST));
    Some(text)
}
