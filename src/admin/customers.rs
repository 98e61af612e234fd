//! Where a customer stands, asked of the lane that has them.
//!
//! | status | |
//! |---|---|
//! | 200 | JSON as `cohortd explain --json` writes it, or text |
//! | 404 | no such customer or cohort |
//! | 421 | the customer's partition is not here |
//! | 503 | it is being restored, or too much is asked at once: try again |

use std::time::Duration;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::Views;
use crate::inquiry::{Answer, Elsewhere, Form, Found};

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
    let answer = views.desk.ask(customer).map_err(Refusal::elsewhere)?;
    match tokio::time::timeout(WAIT_MAX, answer).await {
        Ok(Ok(Answer::Found(found))) => Ok(found),
        Ok(Ok(Answer::Unknown)) => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            json!({ "status": "unknown_customer", "detail": "No event of this customer was ever applied here." }),
        )),
        Ok(Ok(Answer::Elsewhere(elsewhere))) => Err(Refusal::elsewhere(elsewhere)),
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

    fn elsewhere(why: Elsewhere) -> Self {
        match why {
            Elsewhere::Starting => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                json!({ "status": "starting", "detail": "The topics are not known yet; try again." }),
            ),
            Elsewhere::NotOurs { partition } => {
                let detail = format!(
                    "This customer is of partition {partition}, which another process of the group has. \
                     Its address is not known here: ask the others."
                );
                let said = json!({ "status": "not_here", "partition": partition, "detail": detail });
                Self::new(StatusCode::MISDIRECTED_REQUEST, said)
            }
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

    fn into_response(self) -> Response {
        personal(self.status, JSON, format!("{}\n", self.said))
    }
}
