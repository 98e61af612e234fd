//! Which values are secrets, and how they are shown.

use std::borrow::Cow;

use config::ValueKind;

use super::keys;

/// Shown in place of a secret.
pub(super) const MASK: &str = "********";

/// A value in which something is masked that was a secret when it was dumped.
pub(super) fn is_masked(value: &ValueKind) -> bool {
    matches!(value, ValueKind::String(text) if text.contains(MASK))
}

/// `value` fit to be shown: secrets, and credentials in an address, are replaced.
pub(super) fn masked<'a>(key: &str, value: &'a str) -> Cow<'a, str> {
    if is_secret(key) && !value.is_empty() {
        return Cow::Borrowed(MASK);
    }
    // Several addresses; a comma in a password leaves a part without a scheme.
    if value.contains(',') && value.split(',').all(|address| address.contains("://")) {
        return Cow::Owned(value.split(',').map(|address| masked(key, address)).collect::<Vec<_>>().join(","));
    }
    let Some((scheme, rest)) = value.split_once("://") else {
        return Cow::Borrowed(value);
    };
    // Up to the last `@` anywhere: a password may hold `@` and `/` itself.
    match rest.rfind('@') {
        Some(at) => Cow::Owned(format!("{scheme}://{MASK}{}", &rest[at..])),
        None => Cow::Borrowed(value),
    }
}

/// What is a secret: our own token, and options of librdkafka that may be. Names of mechanisms and of files are not, and are what one looks for first.
pub(super) fn is_secret(key: &str) -> bool {
    let Some(name) = keys::option_name(key) else {
        return key == "schemas.token";
    };
    let name = name.to_ascii_lowercase();
    if name.ends_with(".location") {
        return false;
    }
    let speaks = ["pass", "secret", "token", "key", "credential", "jwt"].iter().any(|word| name.contains(word));
    speaks || (name.starts_with("sasl.") && !name.starts_with("sasl.mechanism"))
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn secrets_are_masked_and_the_rest_is_not() {
        let shown = |key, value| masked(key, value).into_owned();
        assert_eq!(shown("kafka.options.sasl.password", "hunter2"), "********");
        assert_eq!(shown("kafka.options.ssl.keystore.password", "hunter2"), "********");
        assert_eq!(shown("kafka.options.sasl.mechanisms", "PLAIN"), "PLAIN");
        assert_eq!(shown("kafka.options.ssl.key.location", "/etc/ssl/our.key"), "/etc/ssl/our.key");
        assert_eq!(shown("kafka.options.sasl.oauthbearer.assertion.private.key.passphrase", "hunter2"), "********");
        assert_eq!(shown("kafka.group_id", "secret-shop"), "secret-shop");
        assert_eq!(shown("schemas.registry", "https://me:p@s/s@registry:8081/x"), "https://********@registry:8081/x");
        assert_eq!(shown("schemas.registry", "http://registry:8081"), "http://registry:8081");
        assert_eq!(shown("schemas.registry", "http://a:1, https://me:p@b/x"), "http://a:1, https://********@b/x");
        assert_eq!(shown("schemas.registry", "http://me:p,q@a,http://b"), "http://********@a,http://b");
        assert_eq!(shown("schemas.proxy", "http://me:p@proxy:3128"), "http://********@proxy:3128");
        assert_eq!(shown("schemas.token", "hunter2"), "********");
        assert_eq!(shown("schemas.key", "/etc/ssl/our.key"), "/etc/ssl/our.key");
    }
}
