//! The schema registry's REST interface, as Confluent's and its compatibles speak it.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// Longest wait for one answer, connecting included.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The largest answer read, in bytes: far beyond any schema.
const MAX_ANSWER: u64 = 4 << 20;
/// The longest part of a registry's own message that is repeated, in characters.
const MAX_MESSAGE: usize = 300;
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// A registry, by its address. Calls block the caller; lanes ask through [`Schemas`](super::Schemas) instead.
///
/// It is reached directly: a proxy named in the environment is not used.
#[derive(Clone)]
pub struct Registry {
    agent: ureq::Agent,
    base: String,
    authorization: Option<String>,
}

/// What came of a call, by what the caller can do. No text holds credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// No answer, or none that says anything of the schema: try again.
    #[error("the schema registry cannot be reached: {0}")]
    Unreachable(String),
    /// The registry itself says that it has no such schema. It may be late: ask again for a while.
    #[error("the schema registry has no schema with that id")]
    NotFound,
    /// The registry's answer is final: a person has to act.
    #[error("the schema registry's answer is of no use: {0}")]
    Refused(String),
}

/// The address is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a schema registry's address begins with http:// or https:// and names a host")]
pub struct BadRegistryAddress;

#[derive(Deserialize)]
struct SchemaAnswer {
    schema: String,
    #[serde(default, rename = "schemaType")]
    kind: Option<String>,
    #[serde(default)]
    references: Option<Vec<serde_json::Value>>,
}

#[derive(Deserialize)]
struct IdAnswer {
    id: u32,
}

#[derive(Deserialize, Default)]
struct ErrorAnswer {
    #[serde(default)]
    error_code: u32,
    #[serde(default)]
    message: String,
}

impl Registry {
    /// A registry at `http(s)://[user:password@]host[:port][/path]`. User and password may be percent-encoded; they are
    /// sent as basic authorization and shown nowhere. Connects to nothing yet.
    ///
    /// # Errors
    /// When the address has another scheme or no host.
    pub fn new(address: &str) -> Result<Self, BadRegistryAddress> {
        let (scheme, rest) = address.trim_end_matches('/').split_once("://").ok_or(BadRegistryAddress)?;
        if !matches!(scheme, "http" | "https") {
            return Err(BadRegistryAddress);
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (credentials, host) = match authority.rsplit_once('@') {
            Some((credentials, host)) => (Some(credentials), host),
            None => (None, authority),
        };
        if host.is_empty() || host.starts_with(':') {
            return Err(BadRegistryAddress);
        }
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER_WITHIN))
            .proxy(None)
            .build()
            .new_agent();
        let authorization = credentials.map(|credentials| {
            let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
            format!("Basic {}", base64(&[&*percent_decoded(user), b":", &*percent_decoded(password)].concat()))
        });
        Ok(Self { agent, base: format!("{scheme}://{host}{path}"), authorization })
    }

    /// The Avro schema with this id, as JSON.
    ///
    /// # Errors
    /// See [`RegistryError`]. Schemas of another type, or with references, are refused.
    pub fn schema(&self, id: u32) -> Result<String, RegistryError> {
        let request = self.agent.get(format!("{}/schemas/ids/{id}", self.base)).header("accept", MEDIA_TYPE);
        let request = match &self.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => request,
        };
        let (status, body) = answer(request.call())?;
        if status != 200 {
            let error: ErrorAnswer = serde_json::from_str(&body).unwrap_or_default();
            // Only the registry's own code counts: a proxy or a wrong path says 404 too.
            return Err(match (status, error.error_code) {
                (404, 40403) => RegistryError::NotFound,
                (404, _) => RegistryError::Unreachable("HTTP 404, but not from a schema registry".into()),
                _ => RegistryError::Unreachable(format!("HTTP {status}")),
            });
        }
        let found: SchemaAnswer = serde_json::from_str(&body)
            .map_err(|_| RegistryError::Unreachable("HTTP 200, but not from a schema registry".into()))?;
        if let Some(kind) = found.kind.filter(|kind| kind != "AVRO") {
            return Err(RegistryError::Refused(format!("the schema is {}, not Avro", shortened(&kind))));
        }
        if found.references.is_some_and(|references| !references.is_empty()) {
            return Err(RegistryError::Refused("the schema refers to other schemas; register it in one piece".into()));
        }
        Ok(found.schema)
    }

    /// Registers an Avro schema under a subject, or finds it there; its id.
    ///
    /// # Errors
    /// [`RegistryError::Refused`] with the registry's message when it finds the schema incompatible (409) or invalid
    /// (422); otherwise [`RegistryError::Unreachable`].
    pub fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let request =
            self.agent.post(format!("{}/subjects/{subject}/versions", self.base)).header("content-type", MEDIA_TYPE);
        let request = match &self.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => request,
        };
        let (status, body) = answer(request.send(serde_json::json!({ "schema": schema }).to_string()))?;
        match status {
            200 => serde_json::from_str(&body)
                .map(|answer: IdAnswer| answer.id)
                .map_err(|_| RegistryError::Unreachable("HTTP 200, but not from a schema registry".into())),
            409 | 422 => {
                let error: ErrorAnswer = serde_json::from_str(&body).unwrap_or_default();
                Err(RegistryError::Refused(format!("HTTP {status} for {subject}: {}", shortened(&error.message))))
            }
            _ => Err(RegistryError::Unreachable(format!("HTTP {status}"))),
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("base", &self.base).finish_non_exhaustive()
    }
}

fn answer(called: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<(u16, String), RegistryError> {
    let unreachable = |error: ureq::Error| RegistryError::Unreachable(shortened(&error.to_string()));
    let mut response = called.map_err(unreachable)?;
    let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_string().map_err(unreachable)?;
    Ok((response.status().as_u16(), body))
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_MESSAGE).collect()
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match (byte, digit(ahead.next()), digit(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).expect("two hexadecimal digits make a byte"));
                bytes = ahead;
            }
            _ => decoded.push(byte),
        }
    }
    decoded
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, at| (bits << 8) | usize::from(three.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let sextet = char::from(ALPHABET[(bits >> (18 - 6 * at)) & 0x3f]);
            text.push(if at <= three.len() { sextet } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Registry, base64, percent_decoded};

    #[test]
    fn credentials_are_taken_out_of_the_address_and_shown_nowhere() {
        let registry = Registry::new("https://key:pa%2Fss%40@registry:8081/sr/").unwrap();
        assert_eq!(registry.base, "https://registry:8081/sr");
        assert_eq!(registry.authorization.as_deref(), Some("Basic a2V5OnBhL3NzQA=="));
        assert!(!format!("{registry:?}").contains("pa"));
        assert!(Registry::new("registry:8081").is_err());
        assert!(Registry::new("https://user@:80").is_err());
        assert!(Registry::new("file:///etc").is_err());
    }

    #[test]
    fn base64_pads_to_four() {
        assert_eq!([&b""[..], b"f", b"fo", b"foo", b"foob"].map(base64), ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]);
        assert_eq!(percent_decoded("100%"), b"100%");
        assert_eq!(percent_decoded("%zz%41"), b"%zzA");
    }
}
