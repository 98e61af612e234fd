//! What the benches share.

pub(crate) mod shop;
pub(crate) mod table;

use std::env;

/// A number from the environment, to shrink or grow a run.
pub(crate) fn knob(name: &str, default: u64) -> u64 {
    let Some(value) = env::var_os(name) else { return default };
    let number = value.to_str().and_then(|text| text.replace('_', "").parse().ok());
    number.unwrap_or_else(|| panic!("{name} is a whole number, not {}", value.display()))
}
