//! What is told to whom: a delivery and what becomes of it, an endpoint and whether it still listens.

mod delivery;
mod endpoint;

pub use self::{
    delivery::{Attempt, Delivery, EVENT_TYPES, Outcome, REPORTED, State, lane_of},
    endpoint::{DisabledReason, Endpoint},
};
