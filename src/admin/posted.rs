//! The rules in force; and those that are posted: handed to whoever keeps them, with the answer waited for.
//!
//! | status | |
//! |---|---|
//! | 200 | they are in force: version, fingerprint, and whether they are new |
//! | 415 | not sent as `application/toml` |
//! | 422 | the mistakes, as `check` shows them |
//! | 503 | Kafka does not answer, or other rules are being looked at: try again |

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::json;
use tokio::sync::oneshot;

use super::Views;
use crate::inquiry::{InForce, NotFound};

/// The largest rules file that is taken, and some.
const BODY_BYTES_MAX: usize = 1 << 20;
const TOML: &str = "application/toml";

/// The text of a rules file from the operators' door, and where its answer is waited for.
#[derive(Debug)]
pub struct Posted {
    pub text: String,
    pub ruling: oneshot::Sender<Ruling>,
}

/// What became of rules that were posted.
#[derive(Debug)]
pub enum Ruling {
    /// They are the newest version; `new` if they were not before.
    InForce { version: u64, fingerprint: String, new: bool },
    /// All mistakes, as a person reads them.
    Refused(String),
    /// Kafka does not answer: nobody knows yet.
    Unavailable(String),
}

pub(super) fn routes() -> Router<Views> {
    Router::new().route("/rules", post(take).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).get(show))
}

/// The version in force, and what it names that no event has had since this process took it up.
async fn show(State(views): State<Views>) -> Response {
    let Some(InForce { version, fingerprint, coverage }) = views.board.rules() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "No rules were read yet; try again.\n").into_response();
    };
    let missing = coverage.not_found();
    let missing: Vec<_> =
        missing.iter().map(|NotFound { key, text, hint }| json!({ "key": key, "text": text, "hint": hint })).collect();
    let said = json!({
        "version": version, "fingerprint": fingerprint, "events_looked_at": coverage.events(), "not_found": missing,
    });
    ([(header::CONTENT_TYPE, "application/json")], format!("{said}\n")).into_response()
}

/// A browser that was led here does not send this content type without asking first, and is not told that it may.
async fn take(State(views): State<Views>, headers: HeaderMap, text: String) -> Response {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with(TOML) {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("Send it with Content-Type: {TOML}.\n")).into_response();
    }
    let away = |reason: &str| (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response();
    let Some(keeper) = &views.rules else { return away("No rules are taken here.") };
    let (ruling, ruled) = oneshot::channel();
    if keeper.try_send(Posted { text, ruling }).is_err() {
        return away("Other rules are being looked at; try again.");
    }
    match ruled.await {
        Ok(Ruling::InForce { version, fingerprint, new }) => {
            let said = json!({ "version": version, "fingerprint": fingerprint, "new": new });
            ([(header::CONTENT_TYPE, "application/json")], format!("{said}\n")).into_response()
        }
        Ok(Ruling::Refused(mistakes)) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{mistakes}\n")).into_response(),
        Ok(Ruling::Unavailable(reason)) => away(&reason),
        Err(_) => away("The process is stopping."),
    }
}
