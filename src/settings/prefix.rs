//! `topics.prefix`, put before the default names of the topics that are written.

use config::{Value, ValueKind};

use super::keys;
use super::layer::DEFAULT;

const SECTION: &str = "topics";
const KEY: &str = "prefix";
/// The topics that are written. What is read has a name already.
const WRITTEN: [&str; 10] =
    ["changes", "members", "risks", "forecasts", "dead_letters", "changelog", "summaries", "rules", "events", "marks"];

/// Puts it before each name that nobody set; a name with it still counts as a default.
pub(super) fn apply(merged: &mut Value) {
    let ValueKind::Table(sections) = &mut merged.kind else { return };
    let Some(Value { kind: ValueKind::Table(topics), .. }) = sections.get_mut(SECTION) else { return };
    let Some(prefix) = topics.get(KEY).and_then(|value| value.clone().into_string().ok()) else { return };
    for name in WRITTEN {
        let Some(topic) = topics.get_mut(name) else { continue };
        if topic.origin() == Some(DEFAULT)
            && let ValueKind::String(text) = &mut topic.kind
        {
            text.insert_str(0, &prefix);
        }
    }
}

/// Was the prefix put before this name?
pub(super) fn is_applied(merged: &Value, key: &str) -> bool {
    let has_prefix =
        || keys::find(merged, "topics.prefix").is_some_and(|prefix| prefix.kind != ValueKind::String(String::new()));
    let is_default = || keys::find(merged, key).and_then(Value::origin) == Some(DEFAULT);
    let name = key.strip_prefix("topics.");
    name.is_some_and(|name| WRITTEN.contains(&name)) && has_prefix() && is_default()
}
