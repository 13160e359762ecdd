//! Pure vocabulary: what every part of Nodkey means by an id, a time, a key, a level, an error. No tokio, no I/O.

pub mod audit;
pub mod backoff;
pub mod challenge;
pub mod device;
pub mod dpop;
pub mod egress;
pub mod error;
pub mod evidence;
pub mod id;
pub mod jose;
pub mod key_set;
pub mod key_statement;
pub mod level;
pub mod named;
pub mod operator_key;
pub mod random;
pub mod receipt;
pub mod result;
pub mod role;
pub mod service_key;
pub mod time;
pub mod trace;
pub mod trucode;
pub mod trusona_mac;
pub mod vault;
pub mod webhook;
