//! What the benches share.

#[allow(dead_code, reason = "not every bench runs the daemon")]
pub(crate) mod daemon;
#[allow(dead_code, reason = "not every bench has sources")]
pub(crate) mod orders;
#[allow(dead_code, reason = "one bench has topics of its own")]
pub(crate) mod shop;
#[allow(dead_code, reason = "not every bench has targets of each kind")]
pub(crate) mod table;

use std::env;

/// A number from the environment, to shrink or grow a run.
pub(crate) fn knob(name: &str, default: u64) -> u64 {
    let Some(value) = env::var_os(name) else { return default };
    let number = value.to_str().and_then(|text| text.replace('_', "").parse().ok());
    number.unwrap_or_else(|| panic!("{name} is a whole number, not {}", value.display()))
}
