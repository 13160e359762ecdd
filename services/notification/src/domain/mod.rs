//! What is told to whom: a delivery and what becomes of it, what it is about, an endpoint and whether it still listens.

mod delivery;
mod endpoint;
mod event_type;
pub mod push_cause;
mod subject;

pub use self::{
    delivery::{Attempt, Delivery, Outcome, State, lane_of},
    endpoint::{DisabledReason, Endpoint},
    event_type::EventType,
    subject::Subject,
};
