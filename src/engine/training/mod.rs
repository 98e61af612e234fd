//! Training of the churn model: samples of customers, fits, and what follows from the samples of many weeks.

mod fit;
mod sample;
mod trainer;

pub use fit::{Fit, LabeledSnapshot, Snapshot};
pub use sample::{Sample, SampleRow, Sampling, week_begins, week_of};
pub use trainer::{Quality, SAMPLES_MAX, TrainedModel, Trainer};
