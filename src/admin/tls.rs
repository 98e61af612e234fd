//! TLS for the admin API. A certificate that is renewed counts without a restart.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Error;

const CERTIFICATE: &str = "admin.tls_certificate_file";
const KEY: &str = "admin.tls_key_file";

/// Both files, and what was read from them last.
#[derive(Debug)]
pub(super) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    read: Mutex<Read>,
}

struct Read {
    signatures: [Option<Signature>; 2],
    acceptor: TlsAcceptor,
}

impl std::fmt::Debug for Read {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Read").field("signatures", &self.signatures).finish_non_exhaustive()
    }
}

/// Device, number, length and time of the last change, in nanoseconds: another file has another one.
type Signature = (u64, u64, u64, i128);

fn signature(path: &Path) -> Option<Signature> {
    let found = fs::metadata(path).ok()?;
    let changed = i128::from(found.ctime()) * 1_000_000_000 + i128::from(found.ctime_nsec());
    Some((found.dev(), found.ino(), found.len(), changed))
}

impl Tls {
    /// # Errors
    /// A file that cannot be read, or a key that is not the certificate's.
    pub(super) fn load(certificate: &Path, key: &Path) -> Result<Self, Error> {
        // Before the files are read: what changes meanwhile is read again.
        let signatures = [signature(certificate), signature(key)];
        let acceptor = acceptor(certificate, key)?;
        let read = Mutex::new(Read { signatures, acceptor });
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), read })
    }

    /// Takes in a connection by the files as they are now; by those before where these do not fit each other.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let signatures = [signature(&self.certificate), signature(&self.key)];
        if signatures != read.signatures {
            // Looked at once: the two files may be replaced one after the other.
            read.signatures = signatures;
            match acceptor(&self.certificate, &self.key) {
                Ok(acceptor) => {
                    read.acceptor = acceptor;
                    tracing::info!("The certificate of the admin API was read again.");
                }
                Err(error) => {
                    let key = error.key;
                    tracing::warn!(key, %error, "The certificate of the admin API has changed and cannot be used; the one before stays.");
                }
            }
        }
        read.acceptor.clone()
    }
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Error> {
    let of_certificate = |problem: String| Error { key: CERTIFICATE, problem };
    let certificates = CertificateDer::pem_slice_iter(&read(CERTIFICATE, certificate)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| of_certificate(format!("{} is no PEM ({error})", certificate.display())))?;
    if certificates.is_empty() {
        let problem = format!("{} holds no certificate in PEM; name the file that does", certificate.display());
        return Err(of_certificate(problem));
    }
    let private = PrivateKeyDer::from_pem_slice(&read(KEY, key)?).map_err(|error| {
        let problem = format!("{} holds no private key in PEM ({error}); name the file that does", key.display());
        Error { key: KEY, problem }
    })?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, private))
        .map_err(|error| {
            let problem = format!(
                "{} and {} ({KEY}) cannot be used together ({error}); name a certificate and its own key",
                certificate.display(),
                key.display()
            );
            of_certificate(problem)
        })?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| {
        let problem =
            format!("{} cannot be read ({error}); name a file in PEM that this user may read", path.display());
        Error { key, problem }
    })
}
