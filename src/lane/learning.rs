//! What the model of churn learns from the samples of all partitions.

use std::sync::Arc;

use super::context::Context;
use super::model::ModelTold;
use super::rulebook::Version;
use crate::engine::{Learner, Parameters, Sample};

/// The samples for one version of the rules, as far as they were read.
pub(super) struct Learning {
    version: Arc<Version>,
    /// None without `[churn]`.
    learner: Option<Learner>,
    /// Something came since the last look.
    is_fresh: bool,
    told: Option<Parameters>,
}

impl Learning {
    pub(super) fn new(version: Arc<Version>) -> Self {
        let learner = version.rules.churn.as_ref().map(Learner::new);
        Self { version, learner, is_fresh: false, told: None }
    }

    pub(super) fn take(&mut self, partition: u32, sample: Sample) {
        if let Some(learner) = &mut self.learner {
            learner.add(partition, sample);
            self.is_fresh = true;
        }
    }

    /// The parameters for the newest week of which all partitions have told, if they were not told yet. Their version is
    /// the number of that week, so that all processes have the same for the same.
    pub(super) fn parameters(&mut self, context: &Context) -> Option<ModelTold> {
        if !std::mem::take(&mut self.is_fresh) {
            return None;
        }
        let (churn, learner) = self.version.rules.churn.as_ref().zip(self.learner.as_mut())?;
        let learnt = learner.learn(churn, &self.version.rules.calendar())?;
        let parameters = learnt.parameters(u32::try_from(learnt.week).unwrap_or(0));
        if self.told.is_some_and(|told| told.version >= parameters.version) {
            return None;
        }
        self.told = Some(parameters);
        context.metrics.churn_version.set(i64::from(parameters.version));
        context.metrics.churn_provisional.set(i64::from(parameters.provisional));
        if let Some(quality) = &learnt.quality {
            context.metrics.churn_quality(quality.auc, quality.brier, quality.ece);
        }
        Some(ModelTold { version: self.version.number, parameters })
    }
}
