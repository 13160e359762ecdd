//! Switch 2: how events travel, in process or over NATS JetStream. The scheme of a URL chooses once.
//!
//! An event leaves its service's outbox through the [`relay`] and reaches another service through a [`Consumer`]. It is delivered at least
//! once and takes effect exactly once. Besides events there are wakes: hints that may be lost without harm, on which waiting phones and
//! watchers read again what they wait for.
//!
//! Where services have keys, an event sent between processes is signed by its publisher, and consumers accept no other signature.

mod backoff;
mod bus;
mod config;
mod consume;
mod consumer;
mod error;
mod held;
mod ids;
mod look_out;
mod memory;
mod metrics;
mod nats;
mod relay;
mod replay;
mod rights;
mod signature;
mod source;
mod spans;
mod trust;
mod wake;

pub use self::metrics::METRICS;
pub use bus::Bus;
pub use config::{BusConfig, Identity};
pub use consume::consume;
pub use consumer::{CONSUMERS, Consumer, EventMeta, HandlerError};
pub use error::BusError;
pub use look_out::{Looked, look_out};
pub use relay::relay;
pub use replay::{Replayed, drop_letter, replay};
pub use rights::{User, authorization};
pub use wake::{Listener, Woken};
