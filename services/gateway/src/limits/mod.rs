//! Limits per caller: rates, concurrency, memory and budgets, by address or relying party.

pub mod budget;
pub mod buffer;
pub mod network;
pub mod permits;
pub mod rate;
pub mod registrations;
pub mod shares;
pub mod strangers;
