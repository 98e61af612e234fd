//! The audit log: one line for each customer read, and for each write.
//!
//! Customer ids are personal data, so a line contains the beginning of the SHA-256 of the id: to find the lines of a
//! known id, use `printf %s ID | sha256sum | cut -c1-16`.

use axum::http::StatusCode;
use ring::digest::{SHA256, digest};

use super::listeners::Peer;
use super::tokens::Right;

/// The caller of a request.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) peer: Peer,
    /// The right of the token; `None`: no tokens are required here.
    pub(super) right: Option<Right>,
}

impl Caller {
    fn by(&self) -> &'static str {
        match self.right {
            None => "no token",
            Some(Right::Read) => "admin.token_file",
            Some(Right::Write) => "admin.write_token_file",
        }
    }

    /// A customer was requested, and the answer is ready.
    pub(super) fn read_customer(&self, customer: &str, status: StatusCode) {
        let (by, peer, status) = (self.by(), self.peer.to_string(), status.as_u16());
        tracing::info!(
            action = "read a customer",
            customer_sha256 = short_sha256(customer),
            status,
            by,
            peer,
            "Audit."
        );
    }

    /// Rules were posted; the outcome is not known yet.
    pub(super) fn posts_rules(&self, text: &str) {
        let (by, peer) = (self.by(), self.peer.to_string());
        tracing::info!(action = "posts rules", rules_sha256 = short_sha256(text), by, peer, "Audit.");
    }

    /// The answer to posted rules.
    pub(super) fn posted_rules(&self, text: &str, status: StatusCode) {
        let (by, peer, status) = (self.by(), self.peer.to_string(), status.as_u16());
        tracing::info!(action = "posted rules", rules_sha256 = short_sha256(text), status, by, peer, "Audit.");
    }
}

/// The first 16 of its 64 hexadecimal digits.
fn short_sha256(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::short_sha256;

    #[test]
    fn the_hash_is_what_sha256sum_prints() {
        assert_eq!(short_sha256("c1"), "d0f631ca1ddba8db");
    }
}
