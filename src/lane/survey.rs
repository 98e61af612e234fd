//! Stub.
use super::context::Context;
use super::partition::Partition;
use super::plan::Plan;
use crate::store::StoreError;
pub(super) struct Round;
impl Partition {
    pub(super) fn survey_on(&mut self, _: &Context, _: &mut Plan) -> Result<(), StoreError> {
        self.round = None;
        Ok(())
    }
    pub(super) fn is_surveying(&self) -> bool {
        self.round.is_some()
    }
}
