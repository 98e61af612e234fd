//! Cohorts: their members now, in the partitions of this process; and their forecasts, as of the last survey of all
//! partitions.
//!
//! | status | |
//! |---|---|
//! | 200 | JSON; before the first survey, which follows once all partitions have caught up, only the members now |
//! | 404 | no such cohort |
//! | 503 | the topics are not known yet |

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use serde_json::json;

use super::Views;
use crate::rules::nearest;

const NO_SURVEY: &str = "There is no survey yet: the first follows once all partitions have caught up, then one a day.";

pub(super) fn routes() -> Router<Views> {
    Router::new().route("/cohorts", get(all)).route("/cohorts/{name}", get(one))
}

/// What this process knows at the moment, from each change as it is published.
#[derive(Debug, Serialize)]
struct Now<M> {
    members: M,
    /// Up to when everything is decided: what happens by time alone after that does not count yet.
    decided_to: Option<String>,
    /// The partitions that are counted.
    partitions: Vec<i32>,
    /// Those of other processes, or of none, or being restored. If there are none, sizes are those of the cohorts.
    partitions_not_counted: Vec<i32>,
}

/// A document of the survey, if there is one, with what is known now.
#[derive(Debug, Serialize)]
struct Document<'a, M, S> {
    now: Now<M>,
    #[serde(flatten)]
    survey: Option<&'a S>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
}

impl<'a, M, S> Document<'a, M, S> {
    fn new(now: Now<M>, survey: Option<&'a S>) -> Self {
        let detail = survey.is_none().then_some(NO_SURVEY);
        Self { now, survey, detail }
    }
}

/// `None`: the topics are not known yet.
fn now(views: &Views) -> Option<Now<BTreeMap<String, u64>>> {
    let states = views.router.partition_states();
    let mut others: Vec<i32> = states.restoring.into_iter().chain(states.absent).collect();
    others.sort_unstable();
    let is_known = !states.running.is_empty() || !others.is_empty();
    let members = views.metrics.cohort_members();
    let decided_to = views.metrics.decided_to().map(|at| at.to_string());
    is_known.then_some(Now { members, decided_to, partitions: states.running, partitions_not_counted: others })
}

async fn all(State(views): State<Views>) -> Response {
    let Some(now) = now(&views) else { return starting() };
    let overview = views.latest.overview();
    json_response(StatusCode::OK, &Document::new(now, overview.as_deref()))
}

async fn one(State(views): State<Views>, Path(name): Path<String>) -> Response {
    let Some(Now { members, decided_to, partitions, partitions_not_counted }) = now(&views) else {
        return starting();
    };
    let overview = views.latest.overview();
    let cohort = overview.as_deref().and_then(|overview| overview.detail(&name));
    if cohort.is_none() && !members.contains_key(&name) {
        let surveyed = overview.iter().flat_map(|overview| &overview.cohorts).map(|line| line.cohort.as_str());
        let near = nearest(&name, surveyed.chain(members.keys().map(String::as_str)));
        let hint = near.map_or_else(String::new, |near| format!(" Did you mean {near}?"));
        let detail = format!("There is no cohort of this name.{hint}");
        return json_response(StatusCode::NOT_FOUND, &json!({ "status": "unknown_cohort", "detail": detail }));
    }
    // A cohort that has only been surveyed is of rules that were in force then.
    let members = members.get(&name).copied();
    json_response(
        StatusCode::OK,
        &Document::new(Now { members, decided_to, partitions, partitions_not_counted }, cohort),
    )
}

fn starting() -> Response {
    let body = json!({ "status": "starting", "detail": "The topics are not known yet; try again." });
    json_response(StatusCode::SERVICE_UNAVAILABLE, &body)
}

fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(text) => (status, [(header::CONTENT_TYPE, "application/json")], format!("{text}\n")).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
