//! The memberships of a customer, requested from the lane that owns them. Each read is in the audit log.
//!
//! | status | |
//! |---|---|
//! | 200 | JSON as `cohortd explain --json` writes it, or text |
//! | 404 | no such cohort, or no such customer where they must be |
//! | 421 | the customer's partition is another process's, which is named |
//! | 503 | it has no owner, is being restored, or too much is asked at once: try again |
//!
//! Producers may put a customer into any partition. Kafka's default partitioner (murmur2) determines where to look
//! first; a customer who is not there is searched in every other partition that this process owns. That a customer does
//! not exist is answered only by a process that owns all partitions.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use serde_json::{Value, json};
use tokio::sync::oneshot::Receiver;

use super::Views;
use super::audit::Caller;
use crate::inquiry::{Answer, Form, Found, PartitionStates, Unavailable};
use crate::metrics::{GroupSeen, Metrics};

/// A lane handles questions many times a second; if it does not, it is busy with something long, such as a restore.
const WAIT_MAX: Duration = Duration::from_secs(2);

const JSON: &str = "application/json";
const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

pub(super) fn routes() -> Router<Views> {
    Router::new().route("/customers/{id}", get(standings)).route("/customers/{id}/cohorts/{cohort}", get(explanation))
}

async fn standings(
    State(views): State<Views>,
    Extension(caller): Extension<Caller>,
    Path(customer): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let answered = async {
        let form = form(query.as_deref())?;
        Ok(ok(form, ask(&views, customer.clone()).await?.standings(form)))
    };
    audited(&caller, &customer, answered.await)
}

async fn explanation(
    State(views): State<Views>,
    Extension(caller): Extension<Caller>,
    Path((customer, cohort)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    let answered = async {
        let form = form(query.as_deref())?;
        let found = ask(&views, customer.clone()).await?;
        let index = found.cohort(&cohort).map_err(Refusal::no_cohort)?;
        Ok(ok(form, found.explanation(index, form)))
    };
    audited(&caller, &customer, answered.await)
}

/// Every answer is logged first: that a customer is unknown is an answer too.
fn audited(caller: &Caller, customer: &str, answered: Result<Response, Refusal>) -> Response {
    let response = answered.unwrap_or_else(Refusal::into_response);
    caller.read_customer(customer, response.status());
    response
}

async fn ask(views: &Views, customer: String) -> Result<Found, Refusal> {
    let group = views.health.group();
    let unavailable = |why| Refusal::unavailable(why, group.as_ref());
    let home = views.router.home(&customer).map_err(unavailable)?;
    // What this process has seen of other partitioners.
    let placement = Placement::seen(&views.metrics);
    let at_home = match views.router.ask(home, &customer) {
        Ok(answer) => receive(answer).await,
        Err(why) => Err(NoAnswer::Unavailable(why)),
    };
    let mut found = match at_home {
        Ok(mut found) if placement == Placement::Murmur2 && !found.is_empty() => return Ok(found.swap_remove(0)),
        Ok(found) => found,
        Err(NoAnswer::Unavailable(Unavailable::NotOurs { .. } | Unavailable::Restoring { .. })) => Vec::new(),
        Err(no_answer) => return Err(no_answer.refusal(group.as_ref())),
    };
    if views.router.partition_states().running.iter().any(|partition| *partition != home) {
        found.clear();
        for answer in views.router.ask_all(&customer).map_err(unavailable)? {
            found.extend(receive(answer).await.map_err(|no_answer| no_answer.refusal(group.as_ref()))?);
        }
    }
    found.sort_by_key(|found: &Found| (found.partition != home, found.partition));
    let mut found = found.into_iter();
    match found.next() {
        Some(first) => Ok(Found { also_in: found.map(|other| other.partition).collect(), ..first }),
        None => Err(Refusal::nowhere(home, &views.router.partition_states(), placement, group.as_ref())),
    }
}

/// Where producers put customers, as far as this process has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placement {
    /// Where Kafka's default partitioner puts them.
    Murmur2,
    /// Some of them elsewhere.
    Mixed,
}

impl Placement {
    fn seen(metrics: &Metrics) -> Self {
        if metrics.partitioner_differs.get() > 0 { Self::Mixed } else { Self::Murmur2 }
    }
}

/// Why a lane did not answer whether it knows a customer.
enum NoAnswer {
    Unavailable(Unavailable),
    Unreadable,
    /// The lane ended, or did not answer in time.
    Silent,
}

impl NoAnswer {
    fn refusal(self, group: Option<&GroupSeen>) -> Refusal {
        match self {
            Self::Unavailable(why) => Refusal::unavailable(why, group),
            Self::Unreadable => Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                json!({ "status": "unreadable", "detail": "The customer's state cannot be read; the log says why." }),
            ),
            Self::Silent => Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                json!({ "status": "busy", "detail": "The thread that owns this customer does not answer; try again." }),
            ),
        }
    }
}

async fn receive(answer: Receiver<Answer>) -> Result<Vec<Found>, NoAnswer> {
    match tokio::time::timeout(WAIT_MAX, answer).await {
        Ok(Ok(Answer::Found(found))) => Ok(found),
        Ok(Ok(Answer::Unknown)) => Ok(Vec::new()),
        Ok(Ok(Answer::Unavailable(why))) => Err(NoAnswer::Unavailable(why)),
        Ok(Ok(Answer::Unreadable)) => Err(NoAnswer::Unreadable),
        Ok(Err(_)) | Err(_) => Err(NoAnswer::Silent),
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

fn ok(form: Form, text: String) -> Response {
    let kind = if form == Form::Json { JSON } else { PLAIN_TEXT };
    personal(StatusCode::OK, kind, text)
}

/// Personal data: must not be cached.
fn personal(status: StatusCode, kind: &'static str, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], text).into_response()
}

/// A list of partitions as text.
fn listed(partitions: &[i32]) -> String {
    match partitions {
        [] => "none".to_owned(),
        _ => partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// Why there is no answer.
struct Refusal {
    status: StatusCode,
    body: Value,
}

impl Refusal {
    fn new(status: StatusCode, body: Value) -> Self {
        Self { status, body }
    }

    fn no_cohort(nearest: Option<String>) -> Self {
        let detail = match &nearest {
            Some(name) => format!("There is no such cohort; did you mean `{name}`?"),
            None => "There is no such cohort.".to_owned(),
        };
        Self::new(StatusCode::NOT_FOUND, json!({ "status": "unknown_cohort", "nearest": nearest, "detail": detail }))
    }

    /// No partition that this process owns knows the customer.
    fn nowhere(home: i32, partition_states: &PartitionStates, placement: Placement, group: Option<&GroupSeen>) -> Self {
        let PartitionStates { running, restoring, absent } = partition_states;
        if let Some(partition) = restoring.iter().find(|partition| placement == Placement::Mixed || **partition == home)
        {
            return Self::unavailable(Unavailable::Restoring { partition: *partition }, group);
        }
        if placement == Placement::Murmur2 && absent.contains(&home) {
            return Self::not_ours(home, group);
        }
        if restoring.is_empty() && absent.is_empty() {
            let detail = "No event of this customer was ever applied; this process owns all partitions.";
            return Self::new(StatusCode::NOT_FOUND, json!({ "status": "unknown_customer", "detail": detail }));
        }
        let unavailable: Vec<i32> = absent.iter().chain(restoring).copied().collect();
        if placement == Placement::Murmur2 {
            let detail = format!(
                "Partition {home}, where Kafka's default partitioner (murmur2) puts this customer, has applied no event of \
                 them, nor has any other here ({}). Only a producer with another partitioner could have put them into one of \
                 {}, which are not here.",
                listed(running),
                listed(&unavailable)
            );
            let body =
                json!({ "status": "unknown_customer", "partition": home, "not_here": unavailable, "detail": detail });
            return Self::new(StatusCode::NOT_FOUND, body);
        }
        let holders: BTreeSet<&str> =
            unavailable.iter().filter_map(|partition| group.and_then(|group| group.holder(*partition))).collect();
        let whom = match holders.len() {
            0 => "the group is rebalancing: try again".to_owned(),
            _ => format!("ask {}", holders.iter().copied().collect::<Vec<_>>().join(", ")),
        };
        let detail = format!(
            "No partition here knows this customer ({}). Customers are not where Kafka's default partitioner (murmur2) puts \
             them, so any of the others may ({}); {whom}.",
            listed(running),
            listed(&unavailable)
        );
        let status = if holders.is_empty() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::MISDIRECTED_REQUEST };
        let word = if holders.is_empty() { "not_assigned" } else { "not_here" };
        Self::new(status, json!({ "status": word, "not_here": unavailable, "holders": holders, "detail": detail }))
    }

    fn unavailable(why: Unavailable, group: Option<&GroupSeen>) -> Self {
        match why {
            Unavailable::Starting => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                json!({ "status": "starting", "detail": "The topics are not known yet; try again." }),
            ),
            Unavailable::NotOurs { partition } => Self::not_ours(partition, group),
            Unavailable::Restoring { partition } => {
                let detail = format!("Partition {partition}, which has this customer, is being restored; try again.");
                let body = json!({ "status": "restoring", "partition": partition, "detail": detail });
                Self::new(StatusCode::SERVICE_UNAVAILABLE, body)
            }
            Unavailable::Busy { partition } => {
                let detail = format!("Too many requests for partition {partition}; try again.");
                let body = json!({ "status": "busy", "partition": partition, "detail": detail });
                Self::new(StatusCode::SERVICE_UNAVAILABLE, body)
            }
        }
    }

    /// Another process owns the partition, as far as the group is known; or it has no owner, and retrying helps.
    fn not_ours(partition: i32, group: Option<&GroupSeen>) -> Self {
        let of = format!("This customer belongs to partition {partition}");
        let holder = group.and_then(|group| group.holder(partition));
        let (status, word, detail) = match (holder, group) {
            (Some(holder), Some(group)) if group.is_reserved(partition) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "reserved",
                format!(
                    "{of}, which the group keeps for {holder}, which has stopped, until its session ends (at most {} s); try \
                     again.",
                    group.session.as_secs()
                ),
            ),
            (Some(holder), _) => (
                StatusCode::MISDIRECTED_REQUEST,
                "not_here",
                format!("{of}, which {holder} owns. Ask that process; its address is not known here."),
            ),
            (None, Some(group)) if group.unowned.contains(&partition) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unowned", format!("{of}, which has no owner at present; try again."))
            }
            (None, _) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "not_assigned",
                format!("{of}, which is not assigned to this process; the group is rebalancing. Try again."),
            ),
        };
        Self::new(status, json!({ "status": word, "partition": partition, "holder": holder, "detail": detail }))
    }

    fn into_response(self) -> Response {
        personal(self.status, JSON, format!("{}\n", self.body))
    }
}
