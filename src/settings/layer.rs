//! One layer of settings: values by dotted key, each with the place that set it.

use std::ffi::OsString;
use std::fs;

use config::{Map, Value, ValueKind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{OPTIONS, PREFIX, join, key_of_variable, option_name, path_of, variable_of_key};
use super::nearest::nearest;
use super::secrets::is_secret;
use super::{Error, MANUAL};

/// The origin of what nobody set.
pub(super) const DEFAULT: &str = "default";

/// The hint for a key that belongs in a rules file.
const IS_OF_THE_RULES: &str = "belongs in the rules file, which rules.file names";

#[derive(Debug, Clone)]
pub(super) struct Layer {
    leaves: Vec<Leaf>,
}

#[derive(Debug, Clone)]
pub(super) struct Leaf {
    /// `lanes`, `kafka.group_id`, `kafka.options.security.protocol`.
    pub(super) key: String,
    /// `None`: a section without keys, kept so that an unknown one is noticed.
    pub(super) value: Option<ValueKind>,
    origin: String,
}

impl Layer {
    /// The built-in defaults, in the manual's order.
    pub(super) fn manual() -> Result<Self, Error> {
        let mut layer = Self::file("the built-in manual", MANUAL)?;
        for leaf in &mut layer.leaves {
            leaf.origin = DEFAULT.to_owned();
        }
        Ok(layer)
    }

    /// A TOML file. `name` is what errors call it.
    pub(super) fn file(name: &str, text: &str) -> Result<Self, Error> {
        let line_of = |offset: usize| 1 + text[..offset].matches('\n').count();
        let table = DeTable::parse(text).map_err(|error| {
            let place = error.span().map_or_else(|| name.to_owned(), |span| format!("{name}:{}", line_of(span.start)));
            Error::in_place(place, format!("is not valid TOML: {}; see the manual for the form", error.message()))
        })?;

        let mut leaves = Vec::new();
        // A stack instead of recursion: sorted by place in the end, since a parsed table has lost its order.
        let mut tables = vec![(String::new(), table.get_ref())];
        while let Some((section, table)) = tables.pop() {
            for (name_of_key, value) in table {
                let key = join(&section, name_of_key.get_ref());
                let offset = name_of_key.span().start;
                if let DeValue::Table(inner) = value.get_ref() {
                    if inner.is_empty() {
                        leaves.push((offset, key, None));
                    } else {
                        tables.push((key, inner));
                    }
                } else {
                    let value = plain(value).map_err(|problem| {
                        let problem = if is_of_the_rules(&key) { IS_OF_THE_RULES.to_owned() } else { problem };
                        Error::new(&format!("{name}:{}", line_of(offset)), &key, problem)
                    })?;
                    leaves.push((offset, key, Some(value)));
                }
            }
        }
        leaves.sort_by_key(|(offset, ..)| *offset);
        let leaves = leaves
            .into_iter()
            .map(|(offset, key, value)| Leaf { key, value, origin: format!("{name}:{}", line_of(offset)) })
            .collect();
        Ok(Self { leaves })
    }

    /// Variables such as `COHORTD_KAFKA__GROUP_ID`.
    ///
    /// A variable with our prefix but without `__` is left alone unless it is nearly a key: Kubernetes sets
    /// `COHORTD_SERVICE_HOST` and its like in every pod beside a service named cohortd.
    pub(super) fn environment(manual: &Self, variables: &[(OsString, OsString)]) -> Result<Self, Error> {
        let mut leaves = Vec::new();
        for (variable, value) in variables {
            let Some(name) = variable.to_str().and_then(|variable| variable.strip_prefix(PREFIX)) else {
                continue;
            };
            let origin = format!("{PREFIX}{name}");
            let key = key_of_variable(name);
            if !name.contains("__") && !manual.knows(&key) {
                let single = |key: &str| key.replace('.', "_");
                match manual.keys().find(|known| single(known) == key) {
                    Some(known) => return Err(Error::new(&origin, known, format!("write {}", variable_of_key(known)))),
                    None => continue,
                }
            }
            let Some(value) = value.to_str() else {
                return Err(Error::new(&origin, &key, "the value is not valid UTF-8; set it again"));
            };
            if let Some(secret) = secret_in_file(name) {
                let text = fs::read_to_string(value).map_err(|error| {
                    Error::new(
                        &origin,
                        &secret,
                        format!("{value:?} cannot be read ({error}); name a file that holds it"),
                    )
                })?;
                // Editors end files with a line break, which belongs to no secret.
                let text =
                    text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
                leaves.push(Leaf { key: secret, value: Some(text.into()), origin });
                continue;
            }
            leaves.push(Leaf { key, value: Some(value.into()), origin });
        }
        // The environment has no order of its own; two spellings of one option must not win by chance.
        leaves.sort_by(|a, b| a.origin.cmp(&b.origin));
        Ok(Self { leaves })
    }

    /// Arguments of `--set`, as `key=value`.
    pub(super) fn sets(sets: &[String]) -> Result<Self, Error> {
        let leaf = |set: &String| {
            let (key, value) = set
                .split_once('=')
                .ok_or_else(|| Error::new("--set", set.trim(), "no value; write it as --set kafka.group_id=shop"))?;
            Ok(Leaf { key: key.trim().to_owned(), value: Some(value.trim().into()), origin: "--set".to_owned() })
        };
        Ok(Self { leaves: sets.iter().map(leaf).collect::<Result<_, _>>()? })
    }

    /// Refuses the first key that the manual does not have.
    pub(super) fn refuse_unknown_keys(&self, manual: &Self) -> Result<(), Error> {
        let Some(leaf) = self.leaves.iter().find(|leaf| !manual.accepts(leaf)) else {
            return Ok(());
        };
        let section_of = |key: &str| key.rsplit_once('.').map_or_else(String::new, |(section, _)| section.to_owned());
        let inside: Vec<&str> = manual.keys().filter(|known| section_of(known) == leaf.key).collect();
        let problem = if !inside.is_empty() || leaf.key == OPTIONS {
            format!("is a section, not a value; write it as {}", example_of(&leaf.key, inside.first().copied()))
        } else if let Some(option) = leaf.key.strip_prefix("kafka.").filter(|option| option.contains('.')) {
            format!("unknown key; did you mean {OPTIONS}.{option}?")
        } else if is_of_the_rules(&leaf.key) {
            IS_OF_THE_RULES.to_owned()
        } else if let Some(known) = nearest(&leaf.key, manual.keys()) {
            format!("unknown key; did you mean {known}?")
        } else {
            let section = section_of(&leaf.key);
            let siblings: Vec<&str> = manual.keys().filter(|known| section_of(known) == section).collect();
            if section.is_empty() || siblings.is_empty() {
                "unknown key; `cohortd dump-config` lists all keys".to_owned()
            } else {
                format!("unknown key; this section has {}", siblings.join(", "))
            }
        };
        Err(Error::new(&leaf.origin, &leaf.key, problem))
    }

    pub(super) fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        self.leaves.iter().filter(|leaf| leaf.value.is_some()).map(|leaf| leaf.key.as_str())
    }

    fn knows(&self, key: &str) -> bool {
        self.keys().any(|known| known == key)
    }

    /// Is `leaf` one of our keys, an option for librdkafka, or a section that exists and stays empty?
    fn accepts(&self, leaf: &Leaf) -> bool {
        match leaf.value {
            Some(_) => self.knows(&leaf.key) || option_name(&leaf.key).is_some(),
            None => leaf.key == OPTIONS || self.keys().any(|key| key.starts_with(&format!("{}.", leaf.key))),
        }
    }
}

/// The layers are read, and their errors reported, before `config` merges them.
impl config::Source for Layer {
    fn clone_into_box(&self) -> Box<dyn config::Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        let mut root = Map::new();
        for leaf in &self.leaves {
            let origin = Some(&leaf.origin);
            let value = leaf.value.clone().unwrap_or_else(|| ValueKind::Table(Map::new()));
            let mut table = &mut root;
            let path = path_of(&leaf.key);
            let (name, sections) = path.split_last().expect("splitting always gives a part");
            for section in sections {
                let inner = table
                    .entry((*section).to_owned())
                    .or_insert_with(|| Value::new(origin, ValueKind::Table(Map::new())));
                let ValueKind::Table(inner) = &mut inner.kind else {
                    unreachable!("a key of the manual is not also a section of it");
                };
                table = inner;
            }
            // An empty section must not wipe out what the same layer put into it.
            if leaf.value.is_some() || !table.contains_key(*name) {
                table.insert((*name).to_owned(), Value::new(origin, value));
            }
        }
        Ok(root)
    }
}

/// Is it a key of a rules file?
fn is_of_the_rules(key: &str) -> bool {
    let first = key.split('.').next().unwrap_or_default();
    ["time_zone", "activity", "defaults", "cohorts", "churn", "measures", "profile"].contains(&first)
}

/// Options of librdkafka that name files themselves, and only look like secrets in files.
const NAME_FILES: [&str; 3] =
    ["sasl.oauthbearer.assertion", "sasl.oauthbearer.assertion.private.key", "sasl.oauthbearer.assertion.jwt.template"];

/// Settings of our own that are secrets, or may hold some.
const HOLD_SECRETS: [&str; 3] = ["schemas.registry", "schemas.token", "schemas.proxy"];

/// The key whose value stands in the file that the variable names: `KAFKA__OPTIONS__SASL_PASSWORD_FILE`.
fn secret_in_file(name: &str) -> Option<String> {
    let key = key_of_variable(name.strip_suffix("_FILE")?);
    let is_ours = option_name(&key).is_some_and(|option| !NAME_FILES.contains(&option)) && is_secret(&key);
    (is_ours || HOLD_SECRETS.contains(&key.as_str())).then_some(key)
}

fn example_of(section: &str, known: Option<&str>) -> String {
    match known {
        Some(known) => format!("{known}=..."),
        None => format!("{section}.security.protocol=SSL"),
    }
}

fn plain(value: &Spanned<DeValue<'_>>) -> Result<ValueKind, String> {
    Ok(match value.get_ref() {
        DeValue::String(text) => ValueKind::String(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(ValueKind::I64)
            .map_err(|_| format!("{} is too large for a number", number.as_str()))?,
        DeValue::Float(number) => {
            number.as_str().parse().map(ValueKind::Float).map_err(|_| format!("{} is not a number", number.as_str()))?
        }
        DeValue::Boolean(truth) => ValueKind::Boolean(*truth),
        // `earliest = 1990-01-01` without quotes.
        DeValue::Datetime(stamp) => ValueKind::String(stamp.to_string()),
        DeValue::Array(_) => return Err("a list; one value is expected here".to_owned()),
        DeValue::Table(_) => return Err("a table; one value is expected here".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::keys::{key_of_variable, variable_of_key};
    use super::{Layer, secret_in_file};

    #[test]
    fn the_manual_names_no_key_twice_and_every_key_has_a_variable() {
        let manual = Layer::manual().unwrap();
        let keys: BTreeSet<&str> = manual.keys().collect();
        assert_eq!(keys.len(), manual.keys().count());
        for key in keys {
            assert_eq!(key_of_variable(variable_of_key(key).strip_prefix("COHORTD_").unwrap()), key);
        }
    }

    #[test]
    fn a_variable_may_name_the_file_of_a_secret() {
        let key = |name| secret_in_file(name);
        assert_eq!(key("KAFKA__OPTIONS__SASL_PASSWORD_FILE").as_deref(), Some("kafka.options.sasl.password"));
        assert_eq!(key("SCHEMAS__REGISTRY_FILE").as_deref(), Some("schemas.registry"));
        assert_eq!(key("SCHEMAS__TOKEN_FILE").as_deref(), Some("schemas.token"));
        assert_eq!(key("SCHEMAS__PROXY_FILE").as_deref(), Some("schemas.proxy"));
        assert_eq!(key("SCHEMAS__KEY_FILE"), None);
        assert_eq!(key("RULES__FILE"), None);
        assert_eq!(key("KAFKA__GROUP_ID_FILE"), None);
        assert_eq!(key("KAFKA__OPTIONS__SASL_OAUTHBEARER_ASSERTION_FILE"), None);
    }
}
