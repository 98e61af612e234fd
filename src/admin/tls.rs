//! TLS for the admin API. Renewed certificates apply without a restart.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::Error;
use crate::tls::{Identity, Named, Signature, TlsAcceptor};

const CERTIFICATE: &str = "admin.tls_certificate_file";
const KEY: &str = "admin.tls_key_file";

/// Both files, and what was last read from them.
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

impl Tls {
    /// # Errors
    /// A file that cannot be read, or a key that is not the certificate's.
    pub(super) fn load(certificate: &Path, key: &Path) -> Result<Self, Error> {
        // Before the files are read, so that later changes are read again.
        let signatures = [Signature::of(certificate), Signature::of(key)];
        let acceptor = acceptor(certificate, key)?;
        let read = Mutex::new(Read { signatures, acceptor });
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), read })
    }

    /// The acceptor for the current files; for the previous ones while these do not match.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let signatures = [Signature::of(&self.certificate), Signature::of(&self.key)];
        if signatures != read.signatures {
            // Checked together: the two files may be replaced one after the other.
            read.signatures = signatures;
            match acceptor(&self.certificate, &self.key) {
                Ok(acceptor) => {
                    read.acceptor = acceptor;
                    tracing::info!("The certificate of the admin API was reloaded.");
                }
                Err(error) => {
                    let key = error.key;
                    tracing::warn!(key, %error, "The certificate of the admin API has changed and cannot be used; the previous one stays in use.");
                }
            }
        }
        read.acceptor.clone()
    }
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Error> {
    Ok(Identity::acceptor(Named { key: CERTIFICATE, path: certificate }, Named { key: KEY, path: key })?)
}
