//! The contract: everything one service knows about another.
//!
//! Messages, clients and servers are generated from `proto/` at the root of the repository. The other modules add what protobuf cannot
//! express: [`Event`] ties a message to its subject, [`access`] lists who may call a method, [`convert`] converts between well-known types
//! and the kernel's, [`reflect`] converts any message to JSON and back, [`rest`] is the JSON view of a trusonafication,
//! and [`webhook`] the body of webhooks. [`codec`] reads every request and refuses texts that [`text`] does not allow. [`refusal`] builds
//! every refusal, and [`code`] names gRPC's codes.

pub mod access;
pub mod code;
pub mod codec;
pub mod convert;
mod event;
pub mod reflect;
pub mod refusal;
pub mod rest;
pub mod text;
pub mod webhook;

pub use event::{Event, SUBJECTS};

/// The generated code, one module per package.
#[expect(missing_docs, clippy::allow_attributes, clippy::all, clippy::pedantic, reason = "generated")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/nodkey.rs"));
}

pub use generated::nodkey::{binding, notification, registry, status, trusonafication};

/// Every `.proto` file of this crate with its imports, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
