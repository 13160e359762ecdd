//! Failures that any use case of any service may have. Services add those that only they have.

use std::time::Duration;

use nodkey_db::{DbError, idempotency::IdempotencyError};
use nodkey_kernel::error::{Classify, FieldViolation, Kind};
use tonic::Status;

use super::{idempotent::InvalidRequestId, page::InvalidPage};
use crate::call::status::PeerError;

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The request is invalid.
    #[error("{}", describe(.0))]
    Invalid(Vec<FieldViolation>),
    /// The resource does not exist, or belongs to another relying party.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The database failed.
    #[error("database")]
    Db(#[source] DbError),
    /// Another service failed or refused the call.
    #[error(transparent)]
    Peer(PeerError),
    /// The requested page is invalid.
    #[error(transparent)]
    Page(InvalidPage),
    /// The request id is invalid.
    #[error(transparent)]
    RequestId(InvalidRequestId),
    /// The request id was used before.
    #[error(transparent)]
    Idempotency(IdempotencyError),
    /// An internal inconsistency.
    #[error("{0}")]
    Internal(&'static str),
}

impl Failure {
    /// A failure with one invalid field.
    pub fn field(name: &str, description: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldViolation::new(name, description)])
    }
}

fn describe(violations: &[FieldViolation]) -> String {
    let all: Vec<String> = violations.iter().map(|v| format!("{} {}", v.field, v.description)).collect();
    all.join("; ")
}

impl Classify for Failure {
    fn kind(&self) -> Kind {
        match self {
            Self::Invalid(_) => Kind::Invalid,
            Self::NotFound(_) => Kind::NotFound,
            // An unexpected constraint is our bug, not the caller's mistake.
            Self::Db(e @ (DbError::Unavailable { .. } | DbError::Late | DbError::Data(_))) => e.kind(),
            Self::Db(_) | Self::Internal(_) => Kind::Internal,
            Self::Peer(e) => e.kind(),
            Self::Page(e) => e.kind(),
            Self::RequestId(e) => e.kind(),
            Self::Idempotency(e) => e.kind(),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "VALIDATION_FAILED",
            Self::NotFound(_) => "NOT_FOUND",
            Self::Db(e @ (DbError::Unavailable { .. } | DbError::Late | DbError::Data(_))) => e.reason(),
            Self::Peer(e) => e.reason(),
            Self::Page(e) => e.reason(),
            Self::RequestId(e) => e.reason(),
            Self::Idempotency(e) => e.reason(),
            Self::Db(_) | Self::Internal(_) => "INTERNAL",
        }
    }

    fn field_violations(&self) -> Vec<FieldViolation> {
        match self {
            Self::Invalid(violations) => violations.clone(),
            Self::Page(e) => e.field_violations(),
            Self::RequestId(e) => e.field_violations(),
            Self::Peer(e) => e.field_violations(),
            _ => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        if let Self::Peer(e) = self { e.retry_after() } else { None }
    }
}

macro_rules! from {
    ($($variant:ident($type:ty),)+) => {$(
        impl From<$type> for Failure {
            fn from(error: $type) -> Self {
                Self::$variant(error)
            }
        }
    )+};
}

from! {
    Db(DbError),
    Peer(PeerError),
    Page(InvalidPage),
    RequestId(InvalidRequestId),
    Idempotency(IdempotencyError),
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Peer(status.into())
    }
}

/// Collects everything that is wrong with a request, so that the caller learns all of it from one response.
#[derive(Debug, Default)]
pub struct Validation(Vec<FieldViolation>);

impl Validation {
    /// Records a violation for a field unless `holds`.
    pub fn require(&mut self, holds: bool, field: &str, description: &str) {
        if !holds {
            self.0.push(FieldViolation::new(field, description));
        }
    }

    /// Requires text of at most `max` characters, not blank and without control characters.
    pub fn text(&mut self, field: &str, value: &str, max: usize) {
        if value.trim().is_empty() {
            self.0.push(FieldViolation::new(field, "must not be blank"));
        } else if value.chars().count() > max {
            self.0.push(FieldViolation::new(field, format!("must be at most {max} characters")));
        } else if value.chars().any(char::is_control) {
            self.0.push(FieldViolation::new(field, "must not hold control characters"));
        }
    }

    /// Reads a field, and records what is wrong with it.
    pub fn read<T, E: std::fmt::Display>(&mut self, field: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|e| self.0.push(FieldViolation::new(field, e.to_string()))).ok()
    }

    /// `Ok` when nothing is wrong.
    pub fn finish(self) -> Result<(), Failure> {
        if self.0.is_empty() { Ok(()) } else { Err(Failure::Invalid(self.0)) }
    }
}
