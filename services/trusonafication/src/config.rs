//! The trusonafication service's own settings.

use nodkey_kernel::{id::RelyingPartyId, jose::Algorithm};
use serde::Deserialize;

/// How many relying parties are measured separately, at most: what Prometheus holds must not grow with their number.
const MAX_MEASURED: usize = 50;

/// Settings under `service.` in the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Signature algorithm of the first signing key: `EdDSA` or `ES256`. `RotateSigningKey` names the algorithm of each later key.
    pub signing_algorithm: String,
    /// Default lifetime of a trusonafication, in seconds: 1 to 86400.
    pub lifetime_seconds: u32,
    /// Maximum number of pending trusonafications per user or device, for relying parties without budgets. More would be a flood that no
    /// person can judge.
    pub max_pending: u32,
    /// Maximum number of trusonafications in progress per relying party, unless it has its own limit.
    pub max_open: u32,
    /// Lifetime of a TruCode, in seconds: 20 to 55. Browsers hold a request for as long.
    pub trucode_seconds: u32,
    /// Shortest time between two looks for expired trusonafications, in milliseconds. Reads in between report them as expired anyway.
    pub sweep_milliseconds: u32,
    /// Days that expired or canceled trusonafications are kept. 0: forever. Unset: 90, except for those that predate retention. A relying
    /// party's policy takes precedence.
    pub unanswered_retention_days: Option<u32>,
    /// Relying parties whose trusonafications are also measured separately, [`MAX_MEASURED`] at most. Each adds about 25 series to the metrics.
    pub measured_relying_parties: Vec<RelyingPartyId>,
    /// Days that dead letters are kept. 0: forever. Unset: 180, except for dead letters that predate retention.
    pub dead_letter_retention_days: Option<u32>,
}

impl Config {
    /// Refuses values that have the right type and are still invalid.
    pub fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!((1..=86_400).contains(&self.lifetime_seconds), "lifetime_seconds must be 1 to 86400");
        anyhow::ensure!((20..=55).contains(&self.trucode_seconds), "trucode_seconds must be 20 to 55");
        let measured = self.measured_relying_parties.len();
        anyhow::ensure!(
            measured <= MAX_MEASURED,
            "measured_relying_parties names {measured} relying parties; {MAX_MEASURED} may be measured"
        );
        anyhow::ensure!(self.max_pending > 0, "max_pending must be at least 1");
        self.first_algorithm().map(drop)
    }

    /// The algorithm of the very first signing key.
    pub fn first_algorithm(&self) -> anyhow::Result<Algorithm> {
        Algorithm::parse(&self.signing_algorithm).map_err(|_| anyhow::anyhow!("signing_algorithm must be EdDSA or ES256"))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            signing_algorithm: "EdDSA".into(),
            lifetime_seconds: 120,
            max_pending: 20,
            max_open: 100_000,
            trucode_seconds: 50,
            sweep_milliseconds: 500,
            unanswered_retention_days: None,
            measured_relying_parties: Vec::new(),
            dead_letter_retention_days: None,
        }
    }
}
