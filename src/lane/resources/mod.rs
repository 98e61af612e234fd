//! What holds reading up while memory or disk are short.

pub(in crate::lane) mod buffers;
pub(in crate::lane) mod disk;
pub(in crate::lane) mod memory_gate;
