//! Cohorts and their forecasts, as of the last survey of all partitions.
//!
//! | status | |
//! |---|---|
//! | 200 | JSON |
//! | 404 | no such cohort |
//! | 503 | no survey yet: there is one once all partitions have caught up, and then one a day |

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use serde_json::json;

use super::Views;
use crate::rules::nearest;

pub(super) fn routes() -> Router<Views> {
    Router::new().route("/cohorts", get(all)).route("/cohorts/{name}", get(one))
}

async fn all(State(views): State<Views>) -> Response {
    match views.latest.overview() {
        Some(overview) => json_response(StatusCode::OK, &*overview),
        None => not_yet(),
    }
}

async fn one(State(views): State<Views>, Path(name): Path<String>) -> Response {
    let Some(overview) = views.latest.overview() else { return not_yet() };
    match overview.detail(&name) {
        Some(cohort) => json_response(StatusCode::OK, cohort),
        None => {
            let names = overview.cohorts.iter().map(|line| line.cohort.as_str());
            let hint = nearest(&name, names).map_or_else(String::new, |near| format!(" Did you mean {near}?"));
            let detail = format!("There is no cohort of this name.{hint}");
            json_response(StatusCode::NOT_FOUND, &json!({ "status": "unknown_cohort", "detail": detail }))
        }
    }
}

fn not_yet() -> Response {
    let detail = "There is no survey yet: the first follows once all partitions have caught up, then one a day.";
    json_response(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "no_survey_yet", "detail": detail }))
}

fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(text) => (status, [(header::CONTENT_TYPE, "application/json")], format!("{text}\n")).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
