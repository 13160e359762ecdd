//! Why a call on behalf of others came to nothing, in words that are fit for those others: they name no host, no address and nothing else
//! that only whoever runs the deployment may know. The rest is for the log.

use nodkey_kernel::{cause::of_connection, error::chain};
use tracing::debug;

/// What a relying party is shown.
pub fn of(error: &reqwest::Error) -> String {
    debug!(error = chain(error), "a call on behalf of others failed");
    if error.is_timeout() {
        "no answer in time".to_owned()
    } else if error.is_connect() {
        format!("no connection: {}", of_connection(error))
    } else {
        "the connection broke before there was an answer".to_owned()
    }
}
