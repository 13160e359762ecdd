//! Authentication. Every route is mounted behind exactly one of these modules, so no handler can be reached without it.

pub mod backend;
pub mod bearer;
pub mod phone;
