//! Building blocks of use cases: failures, pages of lists, replays of events, requests performed once, unreadable rows.

pub mod checked;
pub mod failure;
pub mod idempotent;
pub mod metrics;
pub mod page;
pub mod replay;
pub mod rows;
