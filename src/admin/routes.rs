//! What each door answers.

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use crate::metrics::{GroupSeen, Health, Unhealthy};

use super::{Views, cohorts, customers, posted};

/// No answer here computes for long; one that does is stuck.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// No other request here has a body.
const BODY_BYTES_MAX: usize = 4 * 1_024;

const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

const METRICS_ROUTES: &str = "\
/metrics       for Prometheus
/health/live   200 while every lane turns; restart the process otherwise
/health/ready  200 once all owned partitions are restored
";

const ADMIN_ROUTES: &str = "\
/                                this list
/health/live                     200 while every lane turns; restart the process otherwise
/health/ready                    200 once all owned partitions are restored
/cohorts                         every cohort: its size, and what the next seven days will bring it
/cohorts/{name}                  one cohort: who stays, where they come from and go to, their risk and value
/customers/{id}                  where a customer stands in each cohort
/customers/{id}/cohorts/{cohort} why, and what would change it
                                 both as JSON, or as text with ?lang=en or ?lang=fr
/rules                           the version in force, and what it names that no event looked at has had
                                 POST a rules file (Content-Type: application/toml) to put it in force: 200 with its
                                 version, or 422 with its mistakes
";

pub(super) fn metrics(views: Views) -> Router {
    limited(health_routes().route("/metrics", get(show_metrics)), METRICS_ROUTES).with_state(views)
}

pub(super) fn admin(views: Views) -> Router {
    let routes = health_routes().route("/", get(async || ADMIN_ROUTES));
    limited(routes.merge(cohorts::routes()).merge(customers::routes()).merge(posted::routes()), ADMIN_ROUTES)
        .with_state(views)
}

fn health_routes() -> Router<Views> {
    Router::new()
        .route("/health/live", get(async |State(views): State<Views>| verdict(views.health.live())))
        .route("/health/ready", get(async |State(views): State<Views>| ready(&views.health)))
}

/// Adds what every route shares: limits, and answers to requests that no route takes.
fn limited(router: Router<Views>, routes: &'static str) -> Router<Views> {
    let unknown = async move || (StatusCode::NOT_FOUND, format!("Nothing is here. There are:\n\n{routes}"));
    let read_only = async move || (StatusCode::METHOD_NOT_ALLOWED, "Nothing is done here by this method.\n");
    router
        .fallback(unknown)
        .method_not_allowed_fallback(read_only)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(in_time))
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER_TIME_MAX, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "The answer took too long.\n").into_response(),
    }
}

async fn show_metrics(State(views): State<Views>) -> Response {
    match views.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, PROMETHEUS_TEXT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// Beside the verdict: what is known of the group, and why the last edit of the rules was refused. Neither makes this
/// process less ready.
fn ready(health: &Health) -> Response {
    let verdict = health.ready();
    let (status, mut said) = told(&verdict);
    if let Err(Unhealthy::Restoring { partitions, .. }) = &verdict {
        said["partitions"] = json!(partitions);
    }
    if let Some(problem) = health.rules_problem() {
        said["rules"] = json!(problem);
    }
    if let Some(group) = health.group() {
        said["group"] = shown(&group);
    }
    answer(status, &said)
}

fn shown(group: &GroupSeen) -> Value {
    let members = group.holders.iter().map(|holder| json!({ "name": holder.name, "partitions": holder.partitions }));
    json!({
        "state": group.state,
        "members": members.collect::<Vec<_>>(),
        "unowned": group.unowned,
        "unowned_seconds": group.unowned_for.as_secs(),
    })
}

fn verdict(health: Result<(), Unhealthy>) -> Response {
    let (status, said) = told(&health);
    answer(status, &said)
}

fn told(health: &Result<(), Unhealthy>) -> (StatusCode, Value) {
    match health {
        Ok(()) => (StatusCode::OK, json!({ "status": "ok" })),
        Err(unhealthy) => {
            let said = json!({ "status": unhealthy.word(), "detail": unhealthy.to_string() });
            (StatusCode::SERVICE_UNAVAILABLE, said)
        }
    }
}

fn answer(status: StatusCode, said: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{said}\n")).into_response()
}
