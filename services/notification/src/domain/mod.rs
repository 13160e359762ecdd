//! Deliveries, their subjects and their transitions; endpoints and their health.

mod delivery;
mod endpoint;
mod event_type;
pub mod push_cause;
mod subject;

pub use self::{
    delivery::{Attempt, Delivery, Outcome, State, queue_of},
    endpoint::{DisabledReason, Endpoint},
    event_type::EventType,
    subject::Subject,
};
