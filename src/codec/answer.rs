//! The answers of a registry's web server, and what follows from them.

use std::fmt;

use serde::Deserialize;
use ureq::http::header::LOCATION;
use ureq::http::{Response, StatusCode, Uri};

use super::RegistryError;

/// The size limit of an answer, in bytes: far beyond any schema.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// The length limit of a registry's own message in ours, in characters.
const MESSAGE_MAX: usize = 300;

/// Any answer.
pub(super) struct Answer {
    url: String,
    pub(super) status: StatusCode,
    body: String,
    /// The target of a redirect, without what may be a secret.
    location: Option<String>,
    shown: Shown,
}

/// The credentials that were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Nothing,
    Password,
    Token,
    Certificate,
}

#[derive(Deserialize, Default)]
struct ErrorAnswer {
    #[serde(default)]
    error_code: u32,
    #[serde(default)]
    message: String,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => {
                "requests without credentials (schemas.token, schemas.certificate, or user:password@ in \
                 schemas.registry)"
            }
            Self::Password => "the credentials in schemas.registry",
            Self::Token => "the token in schemas.token",
            Self::Certificate => "the certificate in schemas.certificate",
        })
    }
}

impl Answer {
    pub(super) fn read(url: &str, shown: Shown, mut response: Response<ureq::Body>) -> Result<Self, RegistryError> {
        let status = response.status();
        let location = response.headers().get(LOCATION).and_then(|location| without_secrets(location.to_str().ok()?));
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).lossy_utf8(true).read_to_string();
        let body = body.map_err(|error| unreachable(url, &error))?;
        Ok(Self { url: url.to_owned(), status, body, location, shown })
    }

    /// For a "not found": is it the answer of a registry, and not of a wrong path?
    pub(super) fn is_of_a_registry(&self) -> bool {
        (40_400..40_500).contains(&self.error().error_code)
    }

    /// Does the registry say that the subject does not exist?
    pub(super) fn is_without_subject(&self) -> bool {
        self.status == StatusCode::NOT_FOUND && self.error().error_code == 40_401
    }

    fn error(&self) -> ErrorAnswer {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    pub(super) fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, RegistryError> {
        serde_json::from_str(&self.body).map_err(|_| RegistryError::Foreign(self.summary()))
    }

    /// An answer that does not contain what was requested.
    pub(super) fn failure(&self) -> RegistryError {
        match self.status.as_u16() {
            401 | 403 => RegistryError::Denied(format!("{}: {}", self.shown, self.summary())),
            408 | 425 | 429 | 500.. => RegistryError::Unreachable(self.summary()),
            300..=399 => {
                let place = self.location.as_deref().unwrap_or("elsewhere");
                RegistryError::Foreign(format!(
                    "{}, which points to {place} and is not followed; if the registry is there, name it in schemas.registry",
                    self.summary()
                ))
            }
            _ => RegistryError::Foreign(self.summary()),
        }
    }

    /// Status, address and the registry's own message; other pages are not repeated.
    pub(super) fn summary(&self) -> String {
        let message = self.error().message;
        let reason = self.status.canonical_reason().unwrap_or_default();
        let words = if message.is_empty() { reason } else { &message };
        format!("HTTP {} from {}: {}", self.status.as_u16(), self.url, shortened(words))
    }
}

pub(super) fn unreachable(url: &str, error: &dyn fmt::Display) -> RegistryError {
    RegistryError::Unreachable(format!("{url}: {}", shortened(&error.to_string())))
}

pub(super) fn shortened(text: &str) -> String {
    text.chars().take(MESSAGE_MAX).collect()
}

/// The target of a redirect without user, password, query and fragment; `None`: it cannot be parsed.
fn without_secrets(location: &str) -> Option<String> {
    let location: Uri = location.parse().ok()?;
    let host = location.authority().map(|authority| {
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        format!("{}://{host}", location.scheme_str().unwrap_or("http"))
    });
    Some(shortened(&format!("{}{}", host.unwrap_or_default(), location.path())))
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn where_a_redirect_points_to_is_shown_without_secrets() {
        let shown = |location| without_secrets(location).unwrap();
        assert_eq!(shown("https://me:x@login.example/in?state=secret"), "https://login.example/in");
        assert_eq!(shown("/other/path?x=y"), "/other/path");
        assert_eq!(without_secrets("not a place"), None);
    }
}
