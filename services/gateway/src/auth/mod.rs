//! Who calls. Routes are mounted behind exactly one of these; a handler cannot be reached around it.

pub mod backend;
pub mod bearer;
pub mod phone;
