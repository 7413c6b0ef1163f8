//! Routing: the reply to each request.

use std::net::{IpAddr, SocketAddr};

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::http::uri::Authority;
use hyper::{Method, Request, StatusCode, Version};
use proto::path;
use tracing::error;

use super::reply::{self, Reply};
use super::upgrade::{self, Agreed};
use super::{Http, UpgradeRequest};
use crate::observe::Cause;
use crate::occupancy::Full;
use crate::peer::Peer;
use crate::service::Service;
use crate::throttle::warn_throttled;

/// Paths for plain HTTP alone.
const HTTP_PATHS: [&str; 2] = [path::HEALTH, path::METRICS];

/// The cause of a refusal, for the metrics, and the reply. A health check refused for lack of a
/// place has no cause, as no client was refused.
type Refused = (Option<Cause>, Box<Reply>);

impl Http {
    /// The `User-Agent` of `server healthcheck`, whose connections are not counted as those of
    /// clients.
    pub const HEALTHCHECK_AGENT: HeaderValue = HeaderValue::from_static("server-healthcheck");

    /// The reply that upgrades the connection, or the reply to a request that is refused or asks for
    /// no upgrade. `address` is the other end of the connection.
    pub(super) fn answer(
        &self,
        request: &Request<Incoming>,
        address: SocketAddr,
    ) -> Result<(Reply, UpgradeRequest), Box<Reply>> {
        let peer = self.proxies.client(address, request.headers());
        let path = path(request);
        let service = self.service(path);
        let answered = match service {
            _ if !has_valid_host(request) => Err(refused(reply::bad_host().into())),
            Some(service) if upgrade::is_wanted(request) => {
                let is_healthcheck = self.is_healthcheck(request, path, address.ip(), peer);
                self.upgrade(request, service, peer, is_healthcheck)
            }
            _ => return Err(self.plain(request.method(), path, service).into()),
        };
        answered.map_err(|(cause, reply)| {
            if let Some(cause) = cause {
                self.warn_refused(cause, &reply, peer);
            }
            reply
        })
    }

    /// Whether a request comes from `server healthcheck` on this machine.
    fn is_healthcheck(
        &self,
        request: &Request<Incoming>,
        path: &str,
        address: IpAddr,
        peer: Peer,
    ) -> bool {
        let is_own = address.is_loopback() || address == self.own;
        let is_direct = matches!(peer, Peer::Direct(_));
        let agent = request.headers().get(header::USER_AGENT);
        path == path::PING && is_own && is_direct && agent == Some(&Self::HEALTHCHECK_AGENT)
    }

    /// The service at a path, if there is one and the settings have it on.
    fn service(&self, path: &str) -> Option<Service> {
        let service =
            if path == path::PING { Some(self.default_service) } else { Service::at(path) };
        service.filter(|&service| self.services.has(service))
    }

    /// The reply that upgrades the connection, or the one that refuses the upgrade.
    fn upgrade(
        &self,
        request: &Request<Incoming>,
        service: Service,
        peer: Peer,
        is_healthcheck: bool,
    ) -> Result<(Reply, UpgradeRequest), Refused> {
        let (reply, deflate) = upgrade::accept(request, self.compression).map_err(refused)?;
        if let Some(allowed) = &self.origins
            && let Some(origin) = allowed.refused(request.headers())
        {
            return Err((Some(Cause::Origin), reply::wrong_origin(origin, allowed).into()));
        }
        let place = self.metrics.occupancy.take_place(peer.ip()).map_err(|full| {
            let (cause, reply) = match full {
                Full::All(max) => (Cause::TooMany, reply::too_many(max)),
                Full::Address(max) => {
                    (Cause::TooManyOfAddress, reply::too_many_of_address(peer.ip(), max))
                }
            };
            ((!is_healthcheck).then_some(cause), reply.into())
        })?;
        let agreed = service.is_probe().then(|| Agreed::of(&reply));
        let request =
            UpgradeRequest { service, deflate, peer, place, is_healthcheck, agreed, probe: None };
        Ok((reply, request))
    }

    fn warn_refused(&self, cause: Cause, reply: &Reply, peer: Peer) {
        self.errors().count(cause);
        let throttle =
            if cause == Cause::Origin { &self.refused_origins } else { &self.refused_requests };
        let status = reply.status().as_u16();
        warn_throttled!(throttle, %peer, status, "refused: {}", reply.body().trim_end());
    }

    /// The reply to a request that asks for no upgrade; `service` is the one at its path, if any.
    fn plain(&self, method: &Method, path: &str, service: Option<Service>) -> Reply {
        // OPTIONS may ask about the server as a whole (RFC 9110, section 9.3.7), and CONNECT names
        // no path (section 9.3.6).
        let is_known = service.is_some() || HTTP_PATHS.contains(&path) || ["*", ""].contains(&path);
        if !is_known {
            self.errors().count(Cause::NotFound);
            return reply::not_found(path, self.services.services());
        }
        if method == Method::OPTIONS {
            return reply::options();
        }
        if method != Method::GET && method != Method::HEAD {
            self.errors().count(Cause::BadRequest);
            return reply::wrong_method(method);
        }
        match path {
            "" | "*" => {
                self.errors().count(Cause::BadRequest);
                reply::bad_target()
            }
            path::HEALTH => self.report_health(),
            path::METRICS => self.report_metrics(),
            path::STATUS => self.report_status(),
            path::PING => reply::page(),
            _ => reply::not_an_upgrade(),
        }
    }

    fn report_health(&self) -> Reply {
        match self.health.check() {
            Ok(()) => reply::text(StatusCode::OK, "ok\n"),
            Err(reason) => reply::text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
        }
    }

    fn report_metrics(&self) -> Reply {
        self.metrics.text().map_or_else(|error| failed("metrics", &error), reply::metrics)
    }

    fn report_status(&self) -> Reply {
        self.services.status_json().map_or_else(|error| failed("status", &error), reply::json)
    }
}

/// The reply if the metrics or the status cannot be made.
fn failed(what: &str, error: &impl std::fmt::Display) -> Reply {
    error!("cannot tell the {what}: {error}");
    reply::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
}

fn refused(reply: Box<Reply>) -> Refused {
    (Some(Cause::BadRequest), reply)
}

/// The path of a request; a slash at its end does not count.
fn path<B>(request: &Request<B>) -> &str {
    let path = request.uri().path();
    match path.strip_suffix('/') {
        Some(bare) if !bare.is_empty() => bare,
        _ => path,
    }
}

/// Whether a request has one `Host` header, with a host and perhaps a port or empty (RFC 9112,
/// section 3.2); HTTP/1.0 needs none.
fn has_valid_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => is_host(host.as_bytes()),
        (Some(_), Some(_)) => false,
        (None, _) => request.version() < Version::HTTP_11,
    }
}

/// Whether a text is empty, or a host with or without a port (RFC 9110, section 7.2).
fn is_host(text: &[u8]) -> bool {
    if text.is_empty() {
        return true;
    }
    let Ok(authority) = Authority::try_from(text) else { return false };
    // Without user information, the text begins with the host.
    let after_host = authority.as_str().strip_prefix(authority.host());
    after_host.is_some_and(|rest| rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

/// Whether a text is a port, or empty, as a port may be (RFC 3986, section 3.2.3).
fn is_port(text: &str) -> bool {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.is_empty() || (is_number && text.parse::<u16>().is_ok())
}
