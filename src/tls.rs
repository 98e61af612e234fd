//! Certificates and keys in PEM files: reading, validation, and change detection. The only module that uses rustls, for
//! servers and clients.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
pub use tokio_rustls::{TlsAcceptor, rustls};

/// A file that cannot be used, and the setting that names it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct Unusable {
    pub key: &'static str,
    pub problem: String,
}

/// A file and the setting that names it.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    pub key: &'static str,
    pub path: &'a Path,
}

/// Device, inode, length and time of the last change in nanoseconds: a changed or replaced file has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature(u64, u64, u64, i128);

/// A certificate chain, and its key.
pub struct Identity {
    pub certificates: Vec<CertificateDer<'static>>,
    /// The key file as it is, for clients that parse keys themselves.
    pub key_pem: Vec<u8>,
    key: PrivateKeyDer<'static>,
}

/// Why a handshake failed, if retrying does not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distrust {
    /// We do not trust the peer's certificate.
    Theirs,
    /// The peer does not trust our certificate, or requires one.
    Ours,
}

impl Signature {
    /// `None`: the file cannot be read.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        let changed = i128::from(found.ctime()) * 1_000_000_000 + i128::from(found.ctime_nsec());
        Some(Self(found.dev(), found.ino(), found.len(), changed))
    }
}

impl Identity {
    /// The acceptor of a server, with its certificate.
    ///
    /// # Errors
    /// A file that cannot be read, or a key that is not the certificate's.
    pub fn acceptor(certificate: Named<'_>, key: Named<'_>) -> Result<TlsAcceptor, Unusable> {
        let identity = Self::read(certificate, key)?;
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(identity.certificates, identity.key))
            .map_err(|error| not_together(certificate, key, &error))?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// The certificate of a client.
    ///
    /// # Errors
    /// A file that cannot be read, or a key that is not the certificate's.
    pub fn of_client(certificate: Named<'_>, key: Named<'_>) -> Result<Self, Unusable> {
        let identity = Self::read(certificate, key)?;
        ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                let shown = (identity.certificates.clone(), identity.key.clone_key());
                builder.with_root_certificates(RootCertStore::empty()).with_client_auth_cert(shown.0, shown.1)
            })
            .map_err(|error| not_together(certificate, key, &error))?;
        Ok(identity)
    }

    fn read(certificate: Named<'_>, key: Named<'_>) -> Result<Self, Unusable> {
        let certificates = certificates(certificate)?;
        let key_pem = key.read()?;
        let private = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|error| {
            key.refusal(&format!(
                "holds no private key in PEM, or one under a passphrase ({error}); name a file with the plain key"
            ))
        })?;
        Ok(Self { certificates, key_pem, key: private })
    }
}

/// The certificates of trusted authorities.
///
/// # Errors
/// A file that cannot be read, holds none, or holds one that is damaged.
pub fn authorities(file: Named<'_>) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let certificates = certificates(file)?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots.add(certificate.clone()).map_err(|error| {
            file.refusal(&format!("holds a certificate that cannot be used ({error}); name a file of authorities"))
        })?;
    }
    Ok(certificates)
}

/// Why a connection failed, if it was a matter of trust.
#[must_use]
pub fn distrust(error: &rustls::Error) -> Option<Distrust> {
    use rustls::AlertDescription as Alert;
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => Some(Distrust::Theirs),
        rustls::Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError,
        ) => Some(Distrust::Ours),
        _ => None,
    }
}

impl Named<'_> {
    fn read(self) -> Result<Vec<u8>, Unusable> {
        fs::read(self.path).map_err(|error| {
            self.refusal(&format!("cannot be read ({error}); name a file in PEM that this user may read"))
        })
    }

    fn refusal(self, problem: &str) -> Unusable {
        Unusable { key: self.key, problem: format!("{} {problem}", self.path.display()) }
    }
}

fn certificates(file: Named<'_>) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let certificates = CertificateDer::pem_slice_iter(&file.read()?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| file.refusal(&format!("is not valid PEM ({error})")))?;
    if certificates.is_empty() {
        return Err(file.refusal("holds no certificate in PEM; name the file that does"));
    }
    Ok(certificates)
}

fn not_together(certificate: Named<'_>, key: Named<'_>, error: &rustls::Error) -> Unusable {
    certificate.refusal(&format!(
        "and {} ({}) cannot be used together ({error}); name a certificate and its own key",
        key.path.display(),
        key.key
    ))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
