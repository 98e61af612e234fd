//! Where a customer stands, asked of the lane that has them.
//!
//! | status | |
//! |---|---|
//! | 200 | JSON as `cohortd explain --json` writes it, or text |
//! | 404 | no such customer or cohort |
//! | 421 | the customer's partition is another process's, which is named |
//! | 503 | it has no owner, is being restored, or too much is asked at once: try again |

use std::time::Duration;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::Views;
use crate::inquiry::{Answer, Elsewhere, Form, Found};
use crate::metrics::GroupSeen;

/// A lane looks at its questions many times a second; one that does not is at something long, such as a restore.
const WAIT_MAX: Duration = Duration::from_secs(2);

const JSON: &str = "application/json";
const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

pub(super) fn routes() -> Router<Views> {
    Router::new().route("/customers/{id}", get(standings)).route("/customers/{id}/cohorts/{cohort}", get(explanation))
}

async fn standings(State(views): State<Views>, Path(customer): Path<String>, RawQuery(query): RawQuery) -> Response {
    let answered = async {
        let form = form(query.as_deref())?;
        Ok(told(form, ask(&views, customer).await?.standings(form)))
    };
    answered.await.unwrap_or_else(|refusal: Refusal| refusal.into_response())
}

async fn explanation(
    State(views): State<Views>,
    Path((customer, cohort)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    let answered = async {
        let form = form(query.as_deref())?;
        let found = ask(&views, customer).await?;
        let index = found.cohort(&cohort).map_err(Refusal::no_cohort)?;
        Ok(told(form, found.explanation(index, form)))
    };
    answered.await.unwrap_or_else(|refusal: Refusal| refusal.into_response())
}

async fn ask(views: &Views, customer: String) -> Result<Box<Found>, Refusal> {
    let elsewhere = |why| Refusal::elsewhere(why, views.health.group().as_ref());
    let answer = views.desk.ask(customer).map_err(elsewhere)?;
    match tokio::time::timeout(WAIT_MAX, answer).await {
        Ok(Ok(Answer::Found(found))) => Ok(found),
        Ok(Ok(Answer::Unknown)) => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            json!({ "status": "unknown_customer", "detail": "No event of this customer was ever applied here." }),
        )),
        Ok(Ok(Answer::Elsewhere(why))) => Err(elsewhere(why)),
        Ok(Ok(Answer::Unreadable)) => Err(Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            json!({ "status": "unreadable", "detail": "The customer's state cannot be read; the log says why." }),
        )),
        // The lane ended with the question, or did not look at it in time.
        Ok(Err(_)) | Err(_) => Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            json!({ "status": "busy", "detail": "The customer's lane does not answer; try again." }),
        )),
    }
}

/// `lang=en` or `lang=fr` asks for text.
fn form(query: Option<&str>) -> Result<Form, Refusal> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(Form::Json) };
    query.strip_prefix("lang=").and_then(Form::text_in).ok_or_else(|| {
        let detail = "After the path there may be ?lang=en or ?lang=fr, and nothing else.";
        Refusal::new(StatusCode::BAD_REQUEST, json!({ "status": "bad_query", "detail": detail }))
    })
}

fn told(form: Form, text: String) -> Response {
    let kind = if form == Form::Json { JSON } else { PLAIN_TEXT };
    personal(StatusCode::OK, kind, text)
}

/// About one person: nothing on the way keeps it.
fn personal(status: StatusCode, kind: &'static str, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], text).into_response()
}

/// Why there is no answer.
struct Refusal {
    status: StatusCode,
    said: Value,
}

impl Refusal {
    fn new(status: StatusCode, said: Value) -> Self {
        Self { status, said }
    }

    fn no_cohort(nearest: Option<String>) -> Self {
        let detail = match &nearest {
            Some(name) => format!("The rules hold no such cohort; did you mean `{name}`?"),
            None => "The rules hold no such cohort.".to_owned(),
        };
        Self::new(StatusCode::NOT_FOUND, json!({ "status": "unknown_cohort", "nearest": nearest, "detail": detail }))
    }

    fn elsewhere(why: Elsewhere, group: Option<&GroupSeen>) -> Self {
        match why {
            Elsewhere::Starting => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                json!({ "status": "starting", "detail": "The topics are not known yet; try again." }),
            ),
            Elsewhere::NotOurs { partition } => Self::not_ours(partition, group),
            Elsewhere::Restoring { partition } => {
                let detail = format!("Partition {partition}, which has this customer, is being restored; try again.");
                let said = json!({ "status": "restoring", "partition": partition, "detail": detail });
                Self::new(StatusCode::SERVICE_UNAVAILABLE, said)
            }
            Elsewhere::Busy { partition } => {
                let detail = format!("Too much is asked of partition {partition} at once; try again.");
                let said = json!({ "status": "busy", "partition": partition, "detail": detail });
                Self::new(StatusCode::SERVICE_UNAVAILABLE, said)
            }
        }
    }

    /// Another process has the partition, as far as the group is known; or nobody has, and asking again helps.
    fn not_ours(partition: i32, group: Option<&GroupSeen>) -> Self {
        let of = format!("This customer is of partition {partition}");
        let holder = group.and_then(|group| group.holder(partition));
        let (status, word, detail) = match (holder, group) {
            (Some(holder), _) => (
                StatusCode::MISDIRECTED_REQUEST,
                "not_here",
                format!("{of}, which {holder} has. Its address is not known here: ask that process."),
            ),
            (None, Some(group)) if group.unowned.contains(&partition) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unowned", format!("{of}, which nobody has at present; try again."))
            }
            (None, _) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "not_assigned",
                format!("{of}, which is not here; the group is sharing out its partitions. Try again."),
            ),
        };
        Self::new(status, json!({ "status": word, "partition": partition, "holder": holder, "detail": detail }))
    }

    fn into_response(self) -> Response {
        personal(self.status, JSON, format!("{}\n", self.said))
    }
}
