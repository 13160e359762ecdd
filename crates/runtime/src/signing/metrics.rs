//! Metrics of signing keys.

use nodkey_kernel::service_key::ServiceName;
use nodkey_metrics::{Gauge, List};

pub(super) static SIGNING_SINCE: Gauge<ServiceName> = Gauge::new(
    "nodkey_signing_key_since_timestamp_seconds",
    &["service"],
    "Since when the current signing key of a service has been signing, in seconds since 1970.",
);

/// The metrics of this module.
pub(crate) static METRICS: List = &[&SIGNING_SINCE];
