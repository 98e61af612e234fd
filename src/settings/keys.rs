//! Keys of settings: dotted, and as environment variables.

use config::{Value, ValueKind};

/// The one section whose keys are not ours; they hold dots themselves.
pub(super) const OPTIONS: &str = "kafka.options";

/// What the environment variables begin with.
pub(super) const PREFIX: &str = "COHORTD_";

/// The value at a dotted key in the merged layers.
pub(super) fn find<'a>(merged: &'a Value, key: &str) -> Option<&'a Value> {
    path_of(key).into_iter().try_fold(merged, |value, name| match &value.kind {
        ValueKind::Table(table) => table.get(name),
        _ => None,
    })
}

/// The name that librdkafka knows, if the key is one of its options.
pub(super) fn option_name(key: &str) -> Option<&str> {
    key.strip_prefix(OPTIONS)?.strip_prefix('.').filter(|name| !name.is_empty())
}

/// The names of the sections that a key lies in, and its own.
pub(super) fn path_of(key: &str) -> Vec<&str> {
    match option_name(key) {
        Some(name) => OPTIONS.split('.').chain([name]).collect(),
        None => key.split('.').collect(),
    }
}

pub(super) fn join(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

/// `KAFKA__OPTIONS__SASL_PASSWORD` is `kafka.options.sasl.password`: a shell has no dots in names, librdkafka no `_`.
pub(super) fn key_of_variable(name: &str) -> String {
    let key = name.to_ascii_lowercase().replace("__", ".");
    match option_name(&key) {
        Some(option) => format!("{OPTIONS}.{}", option.replace('_', ".")),
        None => key,
    }
}

/// The environment variable that sets a key.
pub(super) fn variable_of_key(key: &str) -> String {
    let (section, option) = match option_name(key) {
        Some(option) => (format!("{OPTIONS}."), option.replace('.', "_")),
        None => (key.to_owned(), String::new()),
    };
    format!("{PREFIX}{}{}", section.to_ascii_uppercase().replace('.', "__"), option.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::key_of_variable;

    #[test]
    fn an_option_in_the_environment_gets_its_dots_back() {
        assert_eq!(key_of_variable("KAFKA__OPTIONS__SSL_CA_LOCATION"), "kafka.options.ssl.ca.location");
    }
}
