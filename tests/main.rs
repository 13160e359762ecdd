//! Scenarios through the public doors, each embedded and distributed; contracts; the rules of the architecture.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod architecture;
mod browser;
mod contract;
mod http;
mod keys;
mod operators;
mod processes;
mod providers;
mod receiver;
mod scenarios;
mod tls;
mod world;
mod writes;
