//! Registers metrics, and resolves their series.

use std::cell::RefCell;

use prometheus::core::Collector;
use prometheus::{
    CounterVec, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts,
};

use crate::event::Instant;

use super::registry::Families;

/// Registers metrics under our prefix.
pub(super) struct Adder<'a>(pub(super) &'a RefCell<Families>);

impl Adder<'_> {
    pub(super) fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.register(IntCounter::with_opts(opts(name, help)))
    }

    pub(super) fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.register(IntCounterVec::new(opts(name, help), labels))
    }

    pub(super) fn float_counters(&self, name: &str, help: &str, labels: &[&str]) -> CounterVec {
        self.register(CounterVec::new(opts(name, help), labels))
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.register(IntGauge::with_opts(opts(name, help)))
    }

    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.register(IntGaugeVec::new(opts(name, help), labels))
    }

    pub(super) fn float_gauges(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.register(GaugeVec::new(opts(name, help), labels))
    }

    pub(super) fn histogram(&self, name: &str, help: &str, bounds: &[f64]) -> Histogram {
        self.register(Histogram::with_opts(HistogramOpts::from(opts(name, help)).buckets(bounds.to_vec())))
    }

    pub(super) fn histograms(&self, name: &str, help: &str, labels: &[&str], bounds: &[f64]) -> HistogramVec {
        self.register(HistogramVec::new(HistogramOpts::from(opts(name, help)).buckets(bounds.to_vec()), labels))
    }

    fn register<C: Collector + Clone + 'static>(&self, metric: prometheus::Result<C>) -> C {
        let metric = metric.expect("metric names and labels are constants, and well formed");
        let names: Vec<String> = metric.desc().iter().map(|desc| desc.fq_name.clone()).collect();
        self.0.borrow_mut().add(&names[0], Box::new(metric.clone()));
        metric
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("cohortd")
}

/// One child for each value of a closed list, found again by the value's number.
pub(super) fn children<T: Copy, C>(values: &[T], child: impl Fn(T) -> C) -> Vec<C> {
    values.iter().map(|value| child(*value)).collect()
}

/// In seconds since 1970, as Prometheus has instants.
pub(super) fn timestamp(at: Instant) -> f64 {
    at.0 as f64 / 1_000.0
}
