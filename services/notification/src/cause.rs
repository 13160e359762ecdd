//! Why an outbound call for a relying party or a phone failed, in words that they may see. They contain no host, no address and nothing
//! else that only operators may know. Details go to the log.

use nodkey_kernel::{cause::of_connection, error::chain};
use tracing::debug;

/// The cause as shown to a relying party.
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
