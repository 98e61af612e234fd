//! The settings in force, as a file that could be given back to `--config`.

use std::borrow::Cow;
use std::fmt::Write;

use config::{Value, ValueKind};

use super::Loaded;
use super::layer::{self, Layer};
use super::prefix;

pub(super) const MASK: &str = "********";

pub(super) fn dump(loaded: &Loaded) -> String {
    let mut text = String::new();
    let mut section = "";
    let manual = Layer::manual().expect("the manual was read when the settings were loaded");
    for leaf in manual.leaves() {
        let (leaf_section, name) = match &leaf.value {
            Some(_) => leaf.key.rsplit_once('.').unwrap_or(("", &leaf.key)),
            None => (leaf.key.as_str(), ""),
        };
        if leaf_section != section {
            section = leaf_section;
            push(&mut text, format_args!("\n[{section}]"));
        }
        let Some(value) = layer::find(&loaded.merged, &leaf.key) else {
            continue;
        };
        match (&leaf.value, &value.kind) {
            (Some(like), _) => {
                let note = resolved(loaded, &leaf.key, value);
                push_value(&mut text, &leaf.key, name, value, like, &note);
            }
            (None, ValueKind::Table(options)) => {
                let mut options: Vec<_> = options.iter().collect();
                options.sort_by_key(|(name, _)| *name);
                for (name, value) in options {
                    let key = format!("{}.{name}", leaf.key);
                    push_value(&mut text, &key, &quoted(name), value, &value.kind, "");
                }
            }
            (None, _) => {}
        }
    }
    let secrets = format!(
        "# {MASK} stands for a secret: write the secret in its place before this is given to --config, or take the line out.\n"
    );
    let note = if text.contains(MASK) { secrets.as_str() } else { "" };
    format!("# Each value with the place that set it.\n{note}\n{text}")
}

/// A value in which something is masked that was a secret when it was dumped.
pub(super) fn is_masked(value: &ValueKind) -> bool {
    matches!(value, ValueKind::String(text) if text.contains(MASK))
}

fn push_value(text: &mut String, key: &str, name: &str, value: &Value, like: &ValueKind, note: &str) {
    let written = in_the_manner_of(like, value);
    let written = match &written {
        ValueKind::String(words) => quoted(&masked(key, words)),
        // An option may be a number and a secret nevertheless.
        other if is_secret(key) => quoted(&masked(key, &other.to_string())),
        other => other.to_string(),
    };
    let origin = value.origin().unwrap_or(layer::DEFAULT);
    push(text, format_args!("{name} = {written} # {origin}{note}"));
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a string cannot fail");
}

/// What stands for a value that is resolved when the process starts.
fn resolved(loaded: &Loaded, key: &str, value: &Value) -> String {
    match (key, &value.kind) {
        ("lanes", ValueKind::I64(0)) => format!("; here {}", loaded.settings.lanes),
        ("memory.limit", ValueKind::I64(0)) => format!("; here {} MiB", loaded.settings.memory.limit >> 20),
        ("kafka.instance_id", ValueKind::String(name)) if name.is_empty() => {
            format!("; here {}", loaded.settings.kafka.instance_id)
        }
        _ if prefix::is_applied(&loaded.merged, key) => "; with topics.prefix".to_owned(),
        _ => String::new(),
    }
}

/// The environment and `--set` only have text; what the manual writes as a number or a truth is shown as one.
fn in_the_manner_of(like: &ValueKind, value: &Value) -> ValueKind {
    match (like, &value.kind) {
        (ValueKind::I64(_), ValueKind::String(_)) => {
            value.clone().into_int().map_or_else(|_| value.kind.clone(), ValueKind::I64)
        }
        (ValueKind::Boolean(_), ValueKind::String(_)) => {
            value.clone().into_bool().map_or_else(|_| value.kind.clone(), ValueKind::Boolean)
        }
        _ => value.kind.clone(),
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
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
    let Some(name) = layer::option_name(key) else {
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
