//! All metric families, and their text format.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use prometheus::TextEncoder;
use prometheus::core::Collector;
use prometheus::proto::{LabelPair, Metric, MetricFamily};

/// By the name of the family.
#[derive(Default)]
pub(super) struct Families(BTreeMap<String, Box<dyn Collector>>);

impl fmt::Debug for Families {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Families {
    /// Adds one family, or several whose names all begin with `name` and are collected in their order.
    ///
    /// # Panics
    /// If there is one of this name.
    pub(super) fn add(&mut self, name: &str, collector: Box<dyn Collector>) {
        let before = self.0.insert(name.to_owned(), collector);
        assert!(before.is_none(), "two metrics are called {name}");
    }

    /// The families that have series now, by name, with their series sorted by label values.
    pub(super) fn gather(&self) -> impl Iterator<Item = MetricFamily> {
        let collected = self.0.values().flat_map(|collector| collector.collect());
        collected.filter(|family| !family.get_metric().is_empty()).map(|mut family| {
            family.mut_metric().sort_by(by_labels);
            family
        })
    }

    /// One family at a time, so that the memory of one is free before the next: with 600 cohorts that halves the cost
    /// of gathering all of them first.
    ///
    /// # Errors
    /// A family that is not well formed.
    pub(super) fn encode(&self) -> Result<String, prometheus::Error> {
        let mut text = String::new();
        for family in self.gather() {
            TextEncoder::new().encode_utf8(&[family], &mut text)?;
        }
        Ok(text)
    }
}

/// Series of one family have the same labels.
fn by_labels(one: &Metric, other: &Metric) -> Ordering {
    let values = one.get_label().iter().map(LabelPair::value);
    values.cmp(other.get_label().iter().map(LabelPair::value))
}
