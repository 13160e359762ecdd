//! The spans of statements and commits (OpenTelemetry's semantic conventions for databases), where the trace is sampled.

use std::borrow::Cow;

use nodkey_kernel::error::Classify as _;
use nodkey_trace::{Child, KeyValue, SpanKind, attribute, child};

use crate::error::DbError;

/// Starts the span of a statement. Its text holds no values: those are bound.
pub(crate) fn statement(on_postgres: bool, sql: &str) -> Option<Child> {
    start(on_postgres, || {
        let operation = sql.split_whitespace().next().unwrap_or_default().to_owned();
        (operation.into(), Some(KeyValue::new(attribute::DB_QUERY_TEXT, sql.to_owned())))
    })
}

/// Starts the span of a commit.
pub(crate) fn commit(on_postgres: bool) -> Option<Child> {
    start(on_postgres, || ("COMMIT".into(), None))
}

fn start(on_postgres: bool, about: impl FnOnce() -> (Cow<'static, str>, Option<KeyValue>)) -> Option<Child> {
    child(SpanKind::Client, || {
        let (operation, text) = about();
        let system = if on_postgres { "postgresql" } else { "sqlite" };
        let of_all =
            [KeyValue::new(attribute::DB_SYSTEM_NAME, system), KeyValue::new(attribute::DB_OPERATION_NAME, operation.clone().into_owned())];
        (operation, of_all.into_iter().chain(text).collect())
    })
}

/// Ends a span.
pub(crate) fn end<T>(span: Option<Child>, outcome: &Result<T, DbError>) {
    if let (Some(mut span), Err(error)) = (span, outcome) {
        span.fail(error.reason());
    }
}
