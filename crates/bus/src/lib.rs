//! Switch 2: how events travel. In process or over NATS JetStream, chosen once by the scheme of a URL.
//!
//! An event leaves its service's outbox through the [`relay`], and has its effect in another service through a
//! [`Consumer`]: at least once on the way, once in effect. Beside events there are wakes: hints, lost without harm, on which
//! waiting phones and watchers re-read what they wait for.
//!
//! Where services have keys, an event between processes is signed by who publishes it and believed by no other.

mod backoff;
mod bus;
mod config;
mod consume;
mod consumer;
mod error;
mod held;
mod look_out;
mod memory;
mod nats;
mod relay;
mod rights;
mod signature;
mod source;
mod trust;
mod wake;

pub use bus::Bus;
pub use config::{BusConfig, Identity};
pub use consume::consume;
pub use consumer::{Consumer, EventMeta, HandlerError};
pub use error::BusError;
pub use look_out::{Looked, look_out};
pub use relay::relay;
pub use rights::{CONSUMERS, User, authorization};
pub use wake::Listener;
