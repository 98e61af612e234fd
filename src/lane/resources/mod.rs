//! Pausing while memory or disk are short.

mod buffers;
pub(in crate::lane) mod disk;
mod disk_gate;
pub(in crate::lane) mod memory;
mod memory_gate;
