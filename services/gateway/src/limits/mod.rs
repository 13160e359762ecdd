//! How much callers may take: so many times, at once, from one address or of one relying party.

pub mod budget;
pub mod buffer;
pub mod network;
pub mod permits;
pub mod rate;
pub mod registrations;
pub mod shares;
pub mod strangers;
