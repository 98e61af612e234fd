//! The addresses of a schema registry, separated from their credentials.

use std::hash::Hasher as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use siphasher::sip::SipHasher13;
use ureq::http::Uri;

/// The address of a registry, and the credentials for it.
#[derive(Clone)]
pub(super) struct Address {
    /// `scheme://host[:port][/path]`, without a trailing slash. Contains no credentials.
    pub(super) base: String,
    /// The value of the `authorization` header.
    pub(super) authorization: Option<String>,
}

/// The address cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a schema registry's address is http(s)://[user:password@]host[:port][/path], several are separated by commas; in user and \
     password write @ as %40, / as %2F, ? as %3F, # as %23 and a comma as %2C"
)]
pub(super) struct BadRegistryAddress;

impl Address {
    /// Parses addresses separated by commas.
    pub(super) fn parse_all(text: &str) -> Result<Vec<Self>, BadRegistryAddress> {
        text.split(',').map(|address| Self::parse(address.trim())).collect()
    }

    /// Parses `http(s)://[user:password@]host[:port][/path]`; user and password may be percent-encoded.
    pub(super) fn parse(text: &str) -> Result<Self, BadRegistryAddress> {
        // With one of these unencoded in a password, the host would end early, and the password be sent to another one.
        if text.matches('@').count() > 1 || text.contains(['?', '#']) {
            return Err(BadRegistryAddress);
        }
        let uri: Uri = text.trim_end_matches('/').parse().map_err(|_| BadRegistryAddress)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(BadRegistryAddress);
        };
        let path = uri.path().trim_end_matches('/');
        if !matches!(scheme, "http" | "https") || authority.host().is_empty() || path.contains('@') {
            return Err(BadRegistryAddress);
        }
        let (credentials, host) = match authority.as_str().split_once('@') {
            Some((credentials, host)) => (Some(credentials), host),
            None => (None, authority.as_str()),
        };
        // The part of a password before a comma could otherwise be taken for a host.
        let port = host.rsplit_once(']').map_or(host, |(_, port)| port).split_once(':').map(|(_, port)| port);
        if port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return Err(BadRegistryAddress);
        }
        let authorization = credentials.map(|credentials| {
            let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
            let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
            format!("Basic {}", STANDARD.encode([decoded(user), b":".to_vec(), decoded(password)].concat()))
        });
        Ok(Self { base: format!("{scheme}://{}{path}", host.to_ascii_lowercase()), authorization })
    }
}

/// A name for files that belong to the registry at these addresses, in any order: readable, and the same in each
/// process and release.
pub(super) fn file_name(addresses: &[Address]) -> String {
    let mut bases: Vec<&str> = addresses.iter().map(|address| address.base.as_str()).collect();
    bases.sort_unstable();
    bases.dedup();
    let mut hasher = SipHasher13::new();
    hasher.write(bases.join(",").as_bytes());
    let host = bases.first().and_then(|base| base.split("://").nth(1)).unwrap_or_default();
    let readable: String = host.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(60).collect();
    format!("{readable}-{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::{Address, file_name};

    #[test]
    fn credentials_are_taken_out_of_the_address() {
        let address = Address::parse("https://key:pa%2Fss%40@Registry:8081/sr/").unwrap();
        assert_eq!(address.base, "https://registry:8081/sr");
        assert_eq!(address.authorization.as_deref(), Some("Basic a2V5OnBhL3NzQA=="));
        assert_eq!(Address::parse("http://r").unwrap().authorization, None);
        assert_eq!(Address::parse("http://[::1]:8081").unwrap().base, "http://[::1]:8081");
        let user_alone = Address::parse("http://token@r").unwrap().authorization;
        assert_eq!(user_alone.as_deref(), Some("Basic dG9rZW46"));
    }

    #[test]
    fn an_address_that_could_send_a_password_elsewhere_is_refused() {
        for bad in [
            "registry:8081",
            "https://user@:80",
            "file:///etc",
            "http://u:p@ss@r",
            "http://u:p/x@r",
            "http://r?x=1",
            "http://u:p,w@r",
            "http://u:p,http://w@r",
            "http://r:port",
            "http://r,",
            "",
        ] {
            assert!(Address::parse_all(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn each_registry_has_a_file_name_of_its_own_whoever_asks() {
        let name = |text| file_name(&Address::parse_all(text).unwrap());
        assert_eq!(name("http://me:secret@registry:8081"), name("http://registry:8081/"));
        assert_ne!(name("http://registry:8081"), name("http://registry:8081/apis/ccompat/v7"));
        assert_ne!(name("http://a-b"), name("http://a.b"));
        assert!(name("http://registry:8081").starts_with("registry-8081-"));
        assert_eq!(name("http://a:1, http://me:secret@b:1"), name("http://b:1,http://a:1/"));
        assert_ne!(name("http://a:1,http://b:1"), name("http://a:1"));
    }
}
