//! The routes of each server.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::{GroupSeen, Health, Holder, Metrics, Unhealthy};

use super::guard::{self, Guard};
use super::server::ANSWER_TIME_MAX;
use super::{Views, cohorts, customers, posted};

/// Metric texts at a time, including those that clients have not read completely: each may be some megabytes.
const SCRAPES_MAX: usize = 8;
/// Scrapes in progress or waiting; more are refused, so that they do not take all connections.
const SCRAPES_WAITING_MAX: usize = 32;

/// No other request has a body.
const BODY_BYTES_MAX: usize = 4 * 1_024;

const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

const METRICS_ROUTES: &str = "\
/metrics       for Prometheus
/health/live   200 while every thread makes progress; restart the process otherwise
/health/ready  200 once all owned partitions are restored
";

const ADMIN_ROUTES: &str = "\
/                                this list
/health/live                     200 while every thread makes progress; restart the process otherwise
/health/ready                    200 once all owned partitions are restored
/cohorts                         every cohort: its size, and what the next seven days will bring it
/cohorts/{name}                  one cohort: who stays, where they come from and go to, their risk and value
/customers/{id}                  where a customer stands in each cohort
/customers/{id}/cohorts/{cohort} why, and what would change it
                                 both as JSON, or as text with ?lang=en or ?lang=fr
/rules                           the version in force, and what it names that no event looked at has had
                                 POST a rules file (Content-Type: application/toml) to put it in force: 200 with its
                                 version, 202 if that is not sure yet, or 422 with its mistakes; with ?dry_run=true
                                 to hear what it would change, and change nothing
";

pub(super) fn metrics(views: Views) -> Router {
    let scrapes = Scrapes::new(Arc::clone(&views.metrics));
    let scrape = Router::new().route("/metrics", get(show_metrics)).with_state(scrapes);
    limited(in_time(health_routes()).with_state(views).merge(in_time(scrape)), METRICS_ROUTES)
}

/// The guard comes before everything, including unknown paths.
pub(super) fn admin(views: Views, guard: Arc<Guard>) -> Router {
    let routes = health_routes().route("/", get(async || ADMIN_ROUTES));
    let reading = routes.merge(cohorts::routes()).merge(customers::routes()).merge(posted::reading());
    // Posting rules has its own timeout.
    let routes = in_time(reading).merge(posted::writing()).with_state(views);
    limited(routes, ADMIN_ROUTES).layer(middleware::from_fn_with_state(guard, guard::admit))
}

fn health_routes() -> Router<Views> {
    Router::new()
        .route("/health/live", get(async |State(views): State<Views>| health_response(views.health.live())))
        .route("/health/ready", get(async |State(views): State<Views>| ready(&views.health)))
}

/// Adds what all routes share: a size limit, and answers to unknown requests.
fn limited(router: Router, routes: &'static str) -> Router {
    let unknown = async move || (StatusCode::NOT_FOUND, format!("Not found. These paths exist:\n\n{routes}"));
    let read_only = async move || (StatusCode::METHOD_NOT_ALLOWED, "This method is not allowed here.\n");
    router.fallback(unknown).method_not_allowed_fallback(read_only).layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// Applies [`ANSWER_TIME_MAX`] to these routes.
fn in_time<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    let answer = async |request: Request, next: Next| -> Response {
        match tokio::time::timeout(ANSWER_TIME_MAX, next.run(request)).await {
            Ok(response) => response,
            Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "The request timed out.\n").into_response(),
        }
    };
    router.layer(middleware::from_fn(answer))
}

/// The text of all metrics takes some milliseconds and, with many cohorts and partitions, megabytes. One is created at
/// a time, and not on the thread that answers probes.
struct Scrapes {
    metrics: Arc<Metrics>,
    waiting: Semaphore,
    making: Arc<Semaphore>,
    texts: Arc<Semaphore>,
}

impl Scrapes {
    fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        let [making, texts] = [1, SCRAPES_MAX].map(|places| Arc::new(Semaphore::new(places)));
        Arc::new(Self { metrics, waiting: Semaphore::new(SCRAPES_WAITING_MAX), making, texts })
    }
}

/// A text, and its permit.
struct Scraped {
    text: String,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Scraped {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

async fn show_metrics(State(scrapes): State<Arc<Scrapes>>) -> Response {
    let failed = |error: String| (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response();
    let Ok(_waiting) = scrapes.waiting.try_acquire() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "Too many scrapes at once.\n").into_response();
    };
    // Waiting here for too long ends in a timeout.
    let place = Arc::clone(&scrapes.texts).acquire_owned().await.expect("the semaphore is never closed");
    let turn = Arc::clone(&scrapes.making).acquire_owned().await.expect("the semaphore is never closed");
    let metrics = Arc::clone(&scrapes.metrics);
    // The work continues if the client disconnects, so it keeps its permit until then.
    let make = move || {
        let text = metrics.encode().map_err(|error| error.to_string());
        drop(turn);
        text.map(|text| Scraped { text, _place: place })
    };
    match tokio::task::spawn_blocking(make).await {
        Ok(Ok(scraped)) => {
            let body = Body::from(Bytes::from_owner(scraped));
            ([(header::CONTENT_TYPE, PROMETHEUS_TEXT)], body).into_response()
        }
        Ok(Err(error)) => failed(error),
        Err(error) => failed(error.to_string()),
    }
}

/// Readiness, with what is known of the group, and why the last edit of the rules was rejected. The latter two do not
/// affect readiness.
fn ready(health: &Health) -> Response {
    let verdict = health.ready();
    let (status, mut body) = status_and_body(&verdict);
    if let Err(Unhealthy::Restoring { partitions, .. }) = &verdict {
        body["partitions"] = json!(partitions);
    }
    if let Some(problem) = health.rules_problem() {
        body["rules"] = json!(problem);
    }
    if let Some(group) = health.group() {
        // It concerns partitions of others: this process is no less ready for it.
        if let (Ok(()), Some(reservations)) = (&verdict, group.reservations()) {
            body["detail"] = json!(reservations);
        }
        body["group"] = group_json(&group);
    }
    answer(status, &body)
}

fn group_json(group: &GroupSeen) -> Value {
    let named = |holder: &Holder| json!({ "name": holder.name, "partitions": holder.partitions });
    json!({
        "state": group.state,
        "members": group.holders.iter().map(named).collect::<Vec<_>>(),
        "reserved": group.reserved.iter().map(named).collect::<Vec<_>>(),
        "unowned": group.unowned,
        "unowned_seconds": group.unowned_for.as_secs(),
    })
}

fn health_response(health: Result<(), Unhealthy>) -> Response {
    let (status, body) = status_and_body(&health);
    answer(status, &body)
}

fn status_and_body(health: &Result<(), Unhealthy>) -> (StatusCode, Value) {
    match health {
        Ok(()) => (StatusCode::OK, json!({ "status": "ok" })),
        Err(unhealthy) => {
            let body = json!({ "status": unhealthy.word(), "detail": unhealthy.to_string() });
            (StatusCode::SERVICE_UNAVAILABLE, body)
        }
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}
