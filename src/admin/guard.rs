//! Access control of the admin API, before anything else of a request is read.
//!
//! | status | |
//! |---|---|
//! | 400 | HTTP/1.1 without `Host`, or with more than one |
//! | 401 | no token, or none that is known |
//! | 403 | a token that may read only; or a web page asks: another `Host` than the loopback's, or another origin |
//!
//! A web page that is open on this machine can send requests to the loopback. A page of another site is recognized by
//! `Origin` and `Sec-Fetch-Site`; one whose name was made to point at 127.0.0.1 (DNS rebinding) by `Host`.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::audit::Caller;
use super::listeners::Peer;
use super::posted;
use super::tokens::{Right, Tokens};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The minimum interval of log lines about refused requests: a flood of them must not flood the log.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// What a request's `Host` may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hosts {
    /// Only the loopback, on which the API listens.
    Loopback,
    Any,
}

#[derive(Debug)]
pub(super) struct Guard {
    tokens: Option<Tokens>,
    hosts: Hosts,
    refused: Mutex<Refused>,
}

/// Requests refused since the last log line about them.
#[derive(Debug, Default)]
struct Refused {
    logged: Option<Instant>,
    since: u64,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    NoHost,
    StrangeHost,
    OtherOrigin,
    NoToken,
    ReadsOnly,
}

impl Guard {
    pub(super) fn new(tokens: Option<Tokens>, hosts: Hosts) -> Arc<Self> {
        Arc::new(Self { tokens, hosts, refused: Mutex::default() })
    }

    fn right(&self, request: &Request) -> Result<Option<Right>, Refusal> {
        self.host(request)?;
        same_origin(request.headers())?;
        let Some(tokens) = &self.tokens else { return Ok(None) };
        let mut presented = request.headers().get_all(header::AUTHORIZATION).iter();
        let right = match (presented.next(), presented.next()) {
            (Some(only), None) => tokens.right_of(only.as_bytes()),
            _ => None,
        };
        let right = right.ok_or(Refusal::NoToken)?;
        if right < needed(request) { Err(Refusal::ReadsOnly) } else { Ok(Some(right)) }
    }

    fn host(&self, request: &Request) -> Result<(), Refusal> {
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => Some(host),
            // No browser uses HTTP/1.0.
            (None, None) if request.version() == Version::HTTP_10 => None,
            _ => return Err(Refusal::NoHost),
        };
        if self.hosts == Hosts::Any {
            return Ok(());
        }
        let is_ours = |authority: &Authority| names_loopback(authority.host());
        let named = host.map(|host| host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()));
        let header_fits = named.is_none_or(|named| named.as_ref().is_some_and(is_ours));
        let target_fits = request.uri().authority().is_none_or(is_ours);
        if header_fits && target_fits { Ok(()) } else { Err(Refusal::StrangeHost) }
    }

    /// Logs a refusal, unless one was just logged.
    fn note(&self, refusal: Refusal, peer: Peer) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.since += 1;
        if refused.logged.is_some_and(|logged| logged.elapsed() < LOG_EVERY) {
            return;
        }
        let requests = std::mem::take(&mut refused.since);
        refused.logged = Some(Instant::now());
        let (reason, peer) = (refusal.reason(), peer.to_string());
        tracing::warn!(reason, peer, requests, "The admin API refused requests; the reason is that of the last one.");
    }
}

/// Requests that may change something need the write token, and so do unknown ones.
fn needed(request: &Request) -> Right {
    match *request.method() {
        Method::GET | Method::HEAD => Right::Read,
        Method::POST if posted::is_dry_run(request.uri()) => Right::Read,
        _ => Right::Write,
    }
}

/// `localhost`, or a loopback address.
fn names_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Refuses cross-origin requests of browsers.
fn same_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.get(FETCH_SITE).is_some_and(|site| site != "same-origin" && site != "none") {
        return Err(Refusal::OtherOrigin);
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let host = headers.get(header::HOST).map(|host| host.as_bytes()).unwrap_or_default();
    let origin = origin.as_bytes();
    let origin = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
    match origin {
        Some(origin) if !host.is_empty() && origin.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(Refusal::OtherOrigin),
    }
}

impl Refusal {
    fn reason(self) -> &'static str {
        match self {
            Self::NoHost => "no Host header, or several",
            Self::StrangeHost => "Host does not name the loopback",
            Self::OtherOrigin => "cross-origin request from a web page",
            Self::NoToken => "no token, or an unknown one",
            Self::ReadsOnly => "the token is read-only",
        }
    }

    fn into_response(self) -> Response {
        const ASKS_FOR: [(HeaderName, &str); 1] = [(header::WWW_AUTHENTICATE, "Bearer realm=\"cohortd\"")];
        const TOO_LITTLE: [(HeaderName, &str); 1] =
            [(header::WWW_AUTHENTICATE, "Bearer realm=\"cohortd\", error=\"insufficient_scope\"")];
        match self {
            Self::NoHost => (StatusCode::BAD_REQUEST, "One Host header is needed.\n").into_response(),
            Self::StrangeHost => {
                (StatusCode::FORBIDDEN, "Host must be localhost, 127.0.0.1 or [::1].\n").into_response()
            }
            Self::OtherOrigin => (StatusCode::FORBIDDEN, "Cross-origin requests are not allowed.\n").into_response(),
            Self::NoToken => (StatusCode::UNAUTHORIZED, ASKS_FOR, "Unauthorized.\n").into_response(),
            Self::ReadsOnly => (StatusCode::FORBIDDEN, TOO_LITTLE, "This token is read-only.\n").into_response(),
        }
    }
}

/// Passes a request on with its [`Caller`], or refuses it.
pub(super) async fn admit(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied().unwrap_or(Peer::Unix(None));
    match guard.right(&request) {
        Ok(right) => {
            request.extensions_mut().insert(Caller { peer, right });
            next.run(request).await
        }
        Err(refusal) => {
            guard.note(refusal, peer);
            refusal.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, header};

    use super::{FETCH_SITE, names_loopback, same_origin};

    #[test]
    fn only_names_and_addresses_of_the_loopback_are_its_own() {
        for own in ["localhost", "LocalHost", "127.0.0.1", "127.8.9.10", "[::1]"] {
            assert!(names_loopback(own), "{own}");
        }
        for strange in
            ["", "rebound.example", "localhost.rebound.example", "127.0.0.1.example", "10.0.0.1", "[::2]", "0.0.0.0"]
        {
            assert!(!names_loopback(strange), "{strange}");
        }
    }

    #[test]
    fn an_origin_is_this_one_or_is_refused() {
        let passes = |origin: &'static str, site: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "localhost:9465".parse().unwrap());
            if !origin.is_empty() {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            if !site.is_empty() {
                headers.insert(FETCH_SITE, site.parse().unwrap());
            }
            same_origin(&headers).is_ok()
        };
        assert!(passes("", "") && passes("http://localhost:9465", "same-origin") && passes("", "none"));
        for other in ["null", "http://localhost:9464", "http://evil.example", "localhost:9465", "file://localhost:9465"]
        {
            assert!(!passes(other, ""), "{other}");
        }
        // Without Origin, as for an image.
        assert!(!passes("", "cross-site") && !passes("", "same-site"));
    }
}
