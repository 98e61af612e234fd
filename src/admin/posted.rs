//! The rules in force, and posted rules, which are passed to their keeper.
//!
//! | status | |
//! |---|---|
//! | 200 | they are in force: version, fingerprint, and whether they are new; or what they would change (`dry_run=true`) |
//! | 202 | they may come into force, and whether they do is not known yet: post them again to hear it |
//! | 400 | another query than `dry_run=true` or `dry_run=false` |
//! | 415 | not sent as `application/toml` |
//! | 422 | the mistakes, as `check` shows them |
//! | 503 | Kafka does not answer, or other rules are being looked at: nothing has changed, nor will it; try again |

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinError;
use tokio::time::timeout;

use super::audit::Caller;
use super::server::ANSWER_TIME_MAX;
use super::{Views, preview};
use crate::inquiry::{InForce, NotFound};

/// The size limit of a request, a little more than that of a rules file.
const BODY_BYTES_MAX: usize = 1 << 20;
const TOML: &str = "application/toml";
/// How long a client that posts rules waits for the outcome.
const OUTCOME_TIME_MAX: Duration = Duration::from_secs(10);

/// A rules file from the admin API, and the channel for its outcome.
#[derive(Debug)]
pub struct Posted {
    text: String,
    outcome: oneshot::Sender<PostOutcome>,
    progress: Arc<Progress>,
}

/// The waiting side of posted rules.
struct Waiting {
    outcome: oneshot::Receiver<PostOutcome>,
    progress: Arc<Progress>,
}

/// Whether posted rules are pending, withdrawn, or being applied. One of the two sides decides: rules that were
/// answered with 503 never come into force.
#[derive(Debug, Default)]
struct Progress(AtomicU8);

impl Progress {
    const OPEN: u8 = 0;
    const WITHDRAWN: u8 = 1;
    const BEGUN: u8 = 2;

    fn settle(&self, progress: u8) -> bool {
        let settled = self.0.compare_exchange(Self::OPEN, progress, Ordering::AcqRel, Ordering::Acquire);
        settled.is_ok() || settled == Err(progress)
    }
}

/// The outcome of posted rules.
#[derive(Debug)]
pub enum PostOutcome {
    /// They are the newest version; `new` if they were not before.
    InForce { version: u64, fingerprint: String, new: bool },
    /// All mistakes, as text.
    Refused(String),
    /// Kafka does not answer, and nothing was written.
    Unavailable(String),
    /// They were written, and whether Kafka has committed them is unknown.
    Unknown(String),
}

impl Posted {
    fn new(text: String) -> (Self, Waiting) {
        let (sender, receiver) = oneshot::channel();
        let progress = Arc::new(Progress::default());
        (Self { text, outcome: sender, progress: Arc::clone(&progress) }, Waiting { outcome: receiver, progress })
    }

    /// Starts to apply them. `None`: they were withdrawn, or the client is gone.
    pub fn begin(self) -> Option<(String, oneshot::Sender<PostOutcome>)> {
        self.progress.settle(Progress::BEGUN).then_some((self.text, self.outcome))
    }
}

impl Waiting {
    /// Withdraws them. `false`: they are being applied already.
    fn withdraw(&self) -> bool {
        self.progress.settle(Progress::WITHDRAWN)
    }
}

/// A client that disconnects withdraws rules that are not being applied yet.
impl Drop for Waiting {
    fn drop(&mut self) {
        self.withdraw();
    }
}

pub(super) fn reading() -> Router<Views> {
    Router::new().route("/rules", get(show))
}

pub(super) fn writing() -> Router<Views> {
    Router::new().route("/rules", post(take).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)))
}

/// The version in force, and the names in it that no event has had since this process loaded it.
async fn show(State(views): State<Views>) -> Response {
    let Some(InForce { version, fingerprint, coverage }) = views.latest.rules() else { return not_read_yet() };
    let missing = coverage.not_found();
    let missing: Vec<_> =
        missing.iter().map(|NotFound { key, text, hint }| json!({ "key": key, "text": text, "hint": hint })).collect();
    json_response(
        StatusCode::OK,
        &json!({
            "version": version, "fingerprint": fingerprint, "events_looked_at": coverage.events(), "not_found": missing,
        }),
    )
}

/// Is it a dry run? Other queries are checked when the request is handled.
pub(super) fn is_dry_run(uri: &Uri) -> bool {
    uri.path() == "/rules" && uri.query() == Some("dry_run=true")
}

/// A browser does not send this content type to another origin without a preflight request, which is not allowed.
async fn take(State(views): State<Views>, Extension(caller): Extension<Caller>, request: Request) -> Response {
    let is_dry_run = is_dry_run(request.uri());
    if !is_dry_run && !matches!(request.uri().query(), None | Some("" | "dry_run=false")) {
        let detail = "After the path there may be ?dry_run=true or ?dry_run=false, and nothing else.\n";
        return (StatusCode::BAD_REQUEST, detail).into_response();
    }
    if !is_toml(request.headers()) {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("Send it with Content-Type: {TOML}.\n")).into_response();
    }
    let text = match timeout(ANSWER_TIME_MAX, String::from_request(request, &())).await {
        Ok(Ok(text)) => text,
        Ok(Err(refusal)) => return refusal.into_response(),
        Err(_) => return (StatusCode::REQUEST_TIMEOUT, "The request body is incomplete.\n").into_response(),
    };
    if is_dry_run {
        return dry_run(&views, text).await;
    }
    caller.posts_rules(&text);
    // Runs to completion even if the client disconnects, so that the outcome is always logged.
    let outcome = tokio::spawn(async move {
        let response = put_in_force(&views, text.clone()).await;
        caller.posted_rules(&text, response.status());
        response
    });
    outcome.await.unwrap_or_else(failed)
}

fn is_toml(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.starts_with(TOML)
}

async fn put_in_force(views: &Views, text: String) -> Response {
    let Some(keeper) = &views.rules else { return unavailable("This process does not accept rules.") };
    let (posted, mut waiting) = Posted::new(text);
    if keeper.try_send(posted).is_err() {
        return unavailable("Other rules are being processed; try again.");
    }
    let outcome = timeout(OUTCOME_TIME_MAX, &mut waiting.outcome).await;
    match outcome {
        Ok(Ok(PostOutcome::InForce { version, fingerprint, new })) => {
            json_response(StatusCode::OK, &json!({ "version": version, "fingerprint": fingerprint, "new": new }))
        }
        Ok(Ok(PostOutcome::Refused(mistakes))) => refused(&mistakes),
        Ok(Ok(PostOutcome::Unavailable(reason))) => unavailable(&reason),
        Ok(Ok(PostOutcome::Unknown(reason))) => unknown(&reason),
        Ok(Err(_)) if waiting.withdraw() => unavailable("The process is stopping."),
        Ok(Err(_)) => unknown("The process is stopping"),
        Err(_) if waiting.withdraw() => {
            unavailable("The rules were not processed, since Kafka does not answer; try again.")
        }
        Err(_) => unknown("They are still being written"),
    }
}

/// Concurrent dry runs: each takes a core, and memory.
static DRY_RUNS: Semaphore = Semaphore::const_new(2);

/// A dry run, on another thread than the one that answers probes.
async fn dry_run(views: &Views, text: String) -> Response {
    let Some(in_force) = views.latest.rules() else { return not_read_yet() };
    let Ok(Ok(place)) = timeout(ANSWER_TIME_MAX, DRY_RUNS.acquire()).await else {
        return unavailable("Other dry runs are in progress; try again.");
    };
    // The work continues, and keeps its permit, if the client disconnects.
    let computed = tokio::task::spawn_blocking(move || {
        let _place = place;
        preview::of(&text, &in_force)
    });
    match timeout(ANSWER_TIME_MAX, computed).await {
        Ok(Ok(Ok(preview))) => json_response(StatusCode::OK, &preview),
        Ok(Ok(Err(mistakes))) => refused(&mistakes),
        Ok(Err(error)) => failed(error),
        Err(_) => unavailable("Computing what they would change took too long."),
    }
}

fn failed(error: JoinError) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
}

fn unavailable(reason: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response()
}

fn not_read_yet() -> Response {
    unavailable("No rules have been loaded yet; try again.")
}

fn refused(mistakes: &str) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, format!("{mistakes}\n")).into_response()
}

/// Posting the same rules twice has the effect of posting them once.
fn unknown(reason: &str) -> Response {
    let detail =
        format!("{reason}: they may come into force. Post the same rules again to find out, or see GET /rules.");
    json_response(StatusCode::ACCEPTED, &json!({ "status": "unknown", "detail": detail }))
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use super::Posted;

    #[test]
    fn rules_that_were_withdrawn_are_not_begun_with_and_those_begun_with_are_not_withdrawn() {
        let (posted, waiting) = Posted::new("a".to_owned());
        assert!(waiting.withdraw() && posted.begin().is_none());
        let (posted, waiting) = Posted::new("b".to_owned());
        drop(waiting);
        assert!(posted.begin().is_none(), "whoever posted it is gone");
        let (posted, waiting) = Posted::new("c".to_owned());
        let (text, _ruling) = posted.begin().unwrap();
        assert!(text == "c" && !waiting.withdraw());
    }
}
