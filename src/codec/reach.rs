//! The connection to a registry: addresses, credentials, proxy. Nothing is sent to a host that is not configured:
//! redirects are not followed, and proxies from the environment are not used.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ureq::http::{Response, Uri};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use super::RegistryError;
use super::address::{self, Address};
use super::answer::{Answer, Shown, shortened, unreachable};
use crate::tls::{self, Distrust, Identity, Named, Signature, Unusable};

/// Connection timeout: shorter than that of an answer, for hosts that drop packets.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// Timeout of one answer, connecting included.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The same if there are several addresses.
const ANSWER_WITHIN_OF_SEVERAL: Duration = Duration::from_secs(5);
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

const CA: &str = "schemas.ca";
const CERTIFICATE: &str = "schemas.certificate";
const KEY: &str = "schemas.key";
const PROXY: &str = "schemas.proxy";
const REGISTRY: &str = "schemas.registry";
const TOKEN: &str = "schemas.token";

/// How a registry is accessed, besides its addresses.
#[derive(Clone, Copy, Default)]
pub struct Access<'a> {
    /// A bearer token, instead of user and password in the addresses.
    pub token: Option<&'a str>,
    /// A PEM file with trusted authorities, instead of the public ones.
    pub ca: Option<&'a Path>,
    /// PEM files with our certificate and its key.
    pub identity: Option<(&'a Path, &'a Path)>,
    /// `http://[user:password@]host[:port]`; everything is tunnelled through it (CONNECT).
    pub proxy: Option<&'a str>,
}

pub(super) struct Reach {
    addresses: Vec<Address>,
    /// The address that answered last, which is tried first.
    current: AtomicUsize,
    token: Option<String>,
    files: Files,
    proxy: Option<ureq::Proxy>,
    client: Mutex<Client>,
}

#[derive(Default)]
struct Files {
    ca: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
}

/// The client created from the files as they were.
struct Client {
    signatures: Vec<Option<Signature>>,
    agent: ureq::Agent,
}

impl Reach {
    /// Does not connect yet.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub(super) fn new(addresses: &str, access: Access<'_>) -> Result<Self, Unusable> {
        let unusable = |key, problem: String| Unusable { key, problem };
        let addresses = Address::parse_all(addresses).map_err(|error| unusable(REGISTRY, error.to_string()))?;
        let token = access.token.map(bearer).transpose()?;
        let proxy = access.proxy.map(proxy).transpose()?;
        let identity = access.identity.map(|(certificate, key)| (certificate.to_owned(), key.to_owned()));
        let files = Files { ca: access.ca.map(Path::to_owned), identity };
        // Before the files are read, so that later changes are read again.
        let signatures = files.signatures();
        let agent = agent(files.tls()?, proxy.clone(), addresses.len());
        let client = Mutex::new(Client { signatures, agent });
        Ok(Self { addresses, current: AtomicUsize::new(0), token, files, proxy, client })
    }

    /// The addresses, without credentials.
    pub(super) fn shown(&self) -> String {
        self.addresses.iter().map(|address| address.base.as_str()).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn file_name(&self) -> String {
        address::file_name(&self.addresses)
    }

    /// Sends a request to the address that answered last, and if it cannot be reached or fails (5xx) to the next one at
    /// once. Any other answer counts, including rejected credentials: the next address is the same registry. `body`:
    /// what is posted.
    pub(super) fn ask<T>(
        &self,
        path: &str,
        body: Option<&str>,
        read: impl Fn(&str, Shown, Response<ureq::Body>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let agent = self.agent();
        let first = self.current.load(Ordering::Relaxed);
        let mut failures = Vec::new();
        for step in 0..self.addresses.len() {
            let place = (first + step) % self.addresses.len();
            let address = &self.addresses[place];
            let url = format!("{}{path}", address.base);
            let (shown, sent) = self.send(&agent, address, &url, body);
            let answered = sent.map_err(|error| failure(&url, shown, &error)).and_then(|response| {
                if response.status().is_server_error() {
                    return Err(Answer::read(&url, shown, response)?.failure());
                }
                let refuses = matches!(response.status().as_u16(), 401 | 403);
                read(&url, shown, response).map(|answer| (answer, refuses))
            });
            match answered {
                Ok((answer, refuses)) => {
                    // A refusing address is not preferred: another one may come back.
                    if !refuses {
                        self.current.store(place, Ordering::Relaxed);
                    }
                    return Ok(answer);
                }
                Err(error @ (RegistryError::Unreachable(_) | RegistryError::Untrusted(_))) => failures.push(error),
                Err(error) => return Err(error),
            }
        }
        Err(all_of(failures))
    }

    fn send(
        &self,
        agent: &ureq::Agent,
        address: &Address,
        url: &str,
        body: Option<&str>,
    ) -> (Shown, Result<Response<ureq::Body>, ureq::Error>) {
        let (shown, authorization) = match (&self.token, &address.authorization) {
            (Some(token), _) => (Shown::Token, Some(token)),
            (None, Some(password)) => (Shown::Password, Some(password)),
            (None, None) if self.files.identity.is_some() => (Shown::Certificate, None),
            (None, None) => (Shown::Nothing, None),
        };
        let sent = match body {
            Some(body) => {
                let request = agent.post(url).header("content-type", MEDIA_TYPE).header("accept", MEDIA_TYPE);
                match authorization {
                    Some(authorization) => request.header("authorization", authorization).send(body),
                    None => request.send(body),
                }
            }
            None => {
                let request = agent.get(url).header("accept", MEDIA_TYPE);
                match authorization {
                    Some(authorization) => request.header("authorization", authorization).call(),
                    None => request.call(),
                }
            }
        };
        (shown, sent)
    }

    /// The client for the current files; for the previous ones if these cannot be used.
    fn agent(&self) -> ureq::Agent {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let signatures = self.files.signatures();
        if signatures != client.signatures {
            // Checked together: certificate and key may be replaced one after the other.
            client.signatures = signatures;
            match self.files.tls() {
                Ok(tls) => {
                    client.agent = agent(tls, self.proxy.clone(), self.addresses.len());
                    tracing::info!("The certificates for the schema registry were reloaded.");
                }
                Err(error) => {
                    let key = error.key;
                    tracing::warn!(key, %error, "A certificate for the schema registry has changed and cannot be used; the previous one stays in use.");
                }
            }
        }
        client.agent.clone()
    }
}

impl Files {
    fn signatures(&self) -> Vec<Option<Signature>> {
        let identity = self.identity.iter().flat_map(|(certificate, key)| [certificate, key]);
        self.ca.iter().chain(identity).map(|path| Signature::of(path)).collect()
    }

    fn tls(&self) -> Result<TlsConfig, Unusable> {
        let mut tls = TlsConfig::builder();
        if let Some(ca) = &self.ca {
            let authorities = tls::authorities(Named { key: CA, path: ca })?;
            let authorities = authorities.iter().map(|der| Certificate::from_der(der).to_owned());
            tls = tls.root_certs(RootCerts::from(authorities));
        }
        if let Some((certificate, key)) = &self.identity {
            let (certificate, key) = (Named { key: CERTIFICATE, path: certificate }, Named { key: KEY, path: key });
            let identity = Identity::of_client(certificate, key)?;
            let chain: Vec<_> = identity.certificates.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
            let private = PrivateKey::from_pem(&identity.key_pem).map_err(|error| Unusable {
                key: KEY,
                problem: format!("{} cannot be used ({error})", key.path.display()),
            })?;
            tls = tls.client_cert(Some(ClientCert::new_with_certs(&chain, private)));
        }
        Ok(tls.build())
    }
}

fn agent(tls: TlsConfig, proxy: Option<ureq::Proxy>, addresses: usize) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT_WITHIN))
        .timeout_global(Some(if addresses > 1 { ANSWER_WITHIN_OF_SEVERAL } else { ANSWER_WITHIN }))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(proxy)
        .tls_config(tls)
        .build()
        .new_agent()
}

/// The value of the `authorization` header.
fn bearer(token: &str) -> Result<String, Unusable> {
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        // The value is secret.
        let problem = "is not a valid token: use visible ASCII characters without spaces".to_owned();
        return Err(Unusable { key: TOKEN, problem });
    }
    Ok(format!("Bearer {token}"))
}

/// Only HTTP: a proxy over TLS would be shown our certificate, which is for the registry.
fn proxy(text: &str) -> Result<ureq::Proxy, Unusable> {
    let is_plain = |uri: &Uri| uri.scheme_str() == Some("http") && uri.path() == "/";
    let is_sound = Address::parse(text).is_ok() && text.parse().as_ref().is_ok_and(is_plain);
    let proxy = if is_sound { ureq::Proxy::new(text).ok() } else { None };
    proxy.ok_or_else(|| {
        let problem =
            "is not a valid proxy address; write it like \"http://proxy:3128\", with user:password@ before the host if \
                       it asks for them, percent-encoded"
                .to_owned();
        Unusable { key: PROXY, problem }
    })
}

/// Why there was no answer.
fn failure(url: &str, shown: Shown, error: &ureq::Error) -> RegistryError {
    let distrust = match error {
        ureq::Error::Rustls(error) => tls::distrust(error),
        ureq::Error::Io(error) => error.get_ref().and_then(|error| tls::distrust(error.downcast_ref()?)),
        _ => None,
    };
    let words = || format!("{url}: {}", shortened(&error.to_string()));
    match distrust {
        Some(Distrust::Theirs) => RegistryError::Untrusted(words()),
        Some(Distrust::Ours) => {
            let ours = if shown == Shown::Certificate {
                "the certificate in schemas.certificate"
            } else {
                "the connection without a certificate that it takes (schemas.certificate)"
            };
            RegistryError::Denied(format!("{ours}: {}", words()))
        }
        None => unreachable(url, error),
    }
}

/// For several failed addresses: whether waiting may help, and the message of each.
fn all_of(mut failures: Vec<RegistryError>) -> RegistryError {
    let waits = failures.iter().any(|failure| matches!(failure, RegistryError::Unreachable(_)));
    let last = failures.pop().expect("there is an address, and it failed");
    if failures.is_empty() {
        return last;
    }
    failures.push(last);
    let words = failures.iter().map(RegistryError::words).collect::<Vec<_>>().join("; ");
    if waits { RegistryError::Unreachable(words) } else { RegistryError::Untrusted(words) }
}
