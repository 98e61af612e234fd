//! The module as a whole: published figures, independent computation, and what must hold for any customer.

pub(crate) mod cdnow;
mod draw;
mod edges;
mod fits;
mod properties;
mod published;
mod quality;
mod recalibration;
mod reference;
mod streaming;
