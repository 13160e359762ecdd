//! The contract: everything one service knows about another.
//!
//! Messages, clients and servers are generated from `proto/` at the root of the repository. Beside them stand what the
//! language of protobuf cannot say: [`Event`] ties a message to its subject, [`access`] says who may call a method,
//! [`convert`] maps well-known types to the kernel's, [`reflect`] turns any message into JSON and back, and [`rest`] is the JSON view of a trusonafication.
//! [`codec`] reads every request, and refuses texts that are not what [`text`] says they may be; [`refusal`] is how anything is refused.

pub mod access;
pub mod codec;
pub mod convert;
mod event;
pub mod reflect;
pub mod refusal;
pub mod rest;
pub mod text;

pub use event::{Event, SUBJECTS};

/// The generated code, one module a package.
#[expect(missing_docs, clippy::allow_attributes, clippy::all, clippy::pedantic, reason = "generated")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/nodkey.rs"));
}

pub use generated::nodkey::{binding, notification, registry, status, trusonafication};

/// Every `.proto` of this crate with its imports, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
