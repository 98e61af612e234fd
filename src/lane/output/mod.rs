//! What a batch is to write: the plan with its records, dead letters, and limits of size.

pub(in crate::lane) mod ahead;
mod change_id;
pub(in crate::lane) mod changes;
pub(in crate::lane) mod dead_letter;
mod fragments;
pub(in crate::lane) mod limits;
pub(in crate::lane) mod offset_mark;
pub(in crate::lane) mod origin;
pub(in crate::lane) mod plan;
pub(in crate::lane) mod record;
pub(in crate::lane) mod rejection;
pub(in crate::lane) mod size;
mod texts;
