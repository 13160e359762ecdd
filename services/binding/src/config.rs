//! Settings of the binding service's own.

use serde::Deserialize;

/// Under `service.` in the configuration. There are none so far.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {}
