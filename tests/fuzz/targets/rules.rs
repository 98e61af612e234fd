//! Any text into the reader and compiler of rules: it compiles, or every mistake has a place and a text.
//!
//! Limit: 2 KiB of memory for each byte of text, above what a rule set of no rules takes.

#![no_main]

use std::sync::Arc;

use cohortd::engine::Engine;
use cohortd::event::Span;
use cohortd::rules;
use libfuzzer_sys::fuzz_target;

#[path = "../../support/allocations.rs"]
mod allocations;

const BYTES_PER_BYTE: usize = 2_048;
const BYTES_ALWAYS: usize = 1 << 20;

fuzz_target!(|text: &str| {
    // Whole files, and what stands in them as expressions: most texts are no TOML.
    let (_, peak) = allocations::peak_of(|| {
        load(text);
        if !text.contains("'''") {
            load(&format!("[cohorts.c]\nwho = '''\n{text}'''\nuntil = 'in d'\n[cohorts.d]\nwho = 'did e'\n"));
        }
        drop(rules::parse_duration(text));
    });
    assert!(peak <= BYTES_ALWAYS + BYTES_PER_BYTE * text.len(), "{peak} bytes for {} of text", text.len());
});

fn load(text: &str) {
    match rules::load("rules.toml", text) {
        Ok(rules) => drop(Engine::new(Arc::new(rules), Span::DAY, 64)),
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            for mistake in mistakes {
                assert!(mistake.line >= 1 && mistake.column >= 1 && !mistake.message.is_empty());
                assert!(mistake.to_string().contains('^'));
            }
        }
    }
}
