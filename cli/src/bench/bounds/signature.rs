//! ECDSA on P-256 with SHA-256, as phones sign.

use std::time::{Duration, Instant};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey},
};
use hdrhistogram::Histogram;

use super::{Bound, Measured};
use crate::bench::process::{Process, Usage};

/// As long as a DPoP proof.
const MESSAGE: [u8; 400] = [7; 400];

/// Measures signing and verifying.
pub(super) fn measure(length: Duration) -> anyhow::Result<[Bound; 2]> {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let random = SystemRandom::new();
    let signature = key.sign(&random, &MESSAGE)?;
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public_key().as_ref());
    let verify = repeat(length, || public.verify(&MESSAGE, signature.as_ref()).is_ok())?;
    let sign = repeat(length, || key.sign(&random, &MESSAGE).is_ok())?;
    Ok([verify.bound("P-256 verification", 1), sign.bound("P-256 signature", 1)])
}

fn repeat(length: Duration, mut work: impl FnMut() -> bool) -> anyhow::Result<Measured> {
    let (begun, used) = (Instant::now(), Process::own().usage());
    let mut times = Histogram::new(3)?;
    while begun.elapsed() < length {
        let start = Instant::now();
        anyhow::ensure!(work(), "a signature is not valid");
        times.record(u64::try_from(start.elapsed().as_micros())?)?;
    }
    Ok(Measured { times, took: begun.elapsed(), server: Usage::default(), client: Process::own().usage().since(used) })
}
