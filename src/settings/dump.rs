//! The settings in force, as a file that could be given back to `--config`.

use std::fmt::Write;

use config::{Value, ValueKind};

use super::Loaded;
use super::keys;
use super::layer::{self, Layer};
use super::prefix;
use super::secrets::{MASK, is_secret, masked};

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
        let Some(value) = keys::find(&loaded.merged, &leaf.key) else {
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
    let secrets =
        format!("# {MASK} stands for a secret: replace it before using this with --config, or remove the line.\n");
    let note = if text.contains(MASK) { secrets.as_str() } else { "" };
    format!("# Each value with its origin.\n{note}\n{text}")
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
