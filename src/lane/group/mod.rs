//! Membership: what the group assigns and takes, who has taken this lane's place, and partitions that nobody owns.

pub(in crate::lane) mod assignment;
pub(in crate::lane) mod fence;
pub(in crate::lane) mod held;
pub(in crate::lane) mod ownership;
pub(in crate::lane) mod role;
