//! Memory for running a customer forward and back again.

use crate::engine::customer::Checkpoint;
use crate::engine::effects::Effect;
use crate::fact::Fact;

/// What a forecast keeps while it tries what would come.
#[derive(Debug, Default)]
pub(in crate::engine) struct Trial {
    pub(in crate::engine) start: Checkpoint,
    pub(in crate::engine) before_visit: Checkpoint,
    /// The facts that a visit feeds, as they were.
    pub(in crate::engine) facts: Vec<(usize, Option<Fact>)>,
    /// The effects of a visit.
    pub(in crate::engine) effects: Vec<Effect>,
}
