//! The parameters of the churn model from what was seen of customers: samples, fits, and what follows from those of many weeks.

mod fit;
mod sample;
mod trainer;

pub use fit::{Fit, Sighting, Watched};
pub use sample::{Sample, SampleRow, Sampling, week_begins, week_of};
pub use trainer::{Learner, Learnt, Quality, SAMPLES_MAX};
