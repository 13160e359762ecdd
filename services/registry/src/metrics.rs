//! Metrics of the registry.

use nodkey_kernel::named;
use nodkey_metrics::{Counter, List, labels};

named! {
    /// How a sign-in of an operator ended.
    pub enum SignIn {
        /// A session began.
        Ok = "ok",
        /// It was refused.
        Refused = "refused",
    }
}

labels!(SignIn);

/// Sign-ins of operators.
pub static OPERATOR_SIGN_INS: Counter<SignIn> =
    Counter::new("nodkey_operator_sign_ins_total", &["outcome"], "Sign-ins of operators at the console.");

/// Signed checkpoints.
pub static AUDIT_CHECKPOINTS: Counter = Counter::new("nodkey_audit_checkpoints_total", &[], "Signed checkpoints of the audit log.");

/// Chains that were not signed.
pub static AUDIT_CHAIN_FAULTS: Counter = Counter::new(
    "nodkey_audit_chain_faults_total",
    &[],
    "How often a chain of the audit log was not signed, because it was changed from outside.",
);

/// The metrics of this service.
pub static METRICS: List = &[&OPERATOR_SIGN_INS, &AUDIT_CHECKPOINTS, &AUDIT_CHAIN_FAULTS];
