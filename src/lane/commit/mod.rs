//! From what was decided to a transaction that counts: what it carries, how large it is, how its end is made sure of.

pub(in crate::lane) mod finish;
pub(in crate::lane) mod letter;
pub(in crate::lane) mod limits;
pub(in crate::lane) mod mark;
pub(in crate::lane) mod output;
pub(in crate::lane) mod oversized;
pub(in crate::lane) mod pending;
pub(in crate::lane) mod plan;
pub(in crate::lane) mod publish;
pub(in crate::lane) mod size;
