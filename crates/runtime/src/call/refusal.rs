//! What is refused because of load.

use nodkey_kernel::named;
use nodkey_metrics::labels;

named! {
    /// What is refused because of load, with its name in logs and metrics.
    #[derive(PartialOrd, Ord)]
    pub enum Refusal {
        /// A list or search.
        List = "list beyond what can be served",
        /// A request by somebody without a credential.
        Anonymous = "anonymous request beyond what can be served",
        /// A request that begins or changes something.
        Create = "create beyond what can be served",
        /// A result, or a request to a phone.
        Read = "read beyond what can be served",
        /// A phone's answer.
        Answer = "answer beyond what can be served",
        /// A body, while too many are held.
        Body = "body beyond what can be held",
        /// A file that an operator uploads.
        Upload = "upload beyond what can be held",
        /// A credential to be looked up.
        Credential = "credential beyond what can be asked for",
        /// A call to another service.
        Call = "call to another service beyond what can be sent",
        /// A connection, while the listener holds all that it may.
        Connection = "connection beyond the limit of all",
        /// A connection, while its address holds all that it may.
        ConnectionOfAddress = "connection beyond the limit of its address",
        /// An answer that a client does not read.
        Untaken = "answer not taken",
        /// A call of reflection.
        Reflection = "reflection call beyond the limit",
        /// A watch of health.
        HealthWatch = "health watch beyond the limit",
    }
}

labels!(Refusal);
