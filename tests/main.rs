//! Scenarios through the public APIs, contract tests, and the rules of the architecture.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod architecture;
mod attacks;
mod browser;
mod collector;
mod components;
mod confirmations;
mod contract;
mod dev;
mod http;
mod keys;
mod links;
mod log;
mod metrics;
mod operators;
mod processes;
mod promises;
mod providers;
mod proxies;
mod readme;
mod receiver;
mod scenarios;
mod serve;
mod settings;
mod software;
mod tls;
mod world;
mod writes;
