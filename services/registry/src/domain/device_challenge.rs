//! Nonces of key statements, which distinguish a fresh statement from a replayed one.
//!
//! A nonce contains the time it was made and a tag over that time and the device it is for. Every replica can verify it, and none has to
//! store it. Per device, only the time of the last used nonce is stored, and only later nonces are accepted.

use std::time::Duration;

use nodkey_kernel::{
    id::DeviceId,
    jose::{b64u, b64u_decode},
    time::Timestamp,
    vault::Vault,
};

/// Lifetime of a nonce.
const LIFETIME: Duration = Duration::from_mins(10);
/// Number of bytes that encode the time; the tag follows.
const TIME: usize = 8;

/// What a phone needs to make a key statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceChallenge {
    /// Nonce in base64url.
    pub nonce: String,
    /// The time the nonce was made, in microseconds. Greater than that of every earlier challenge.
    pub seq: i64,
    /// When the nonce expires.
    pub expires_at: Timestamp,
}

/// Why a nonce is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NonceError {
    /// Not made by this deployment, or made for another device.
    #[error("the nonce was not issued by this deployment for this device")]
    Unknown,
    /// Expired.
    #[error("the nonce has expired after 10 minutes")]
    Expired,
}

impl DeviceChallenge {
    /// Makes a nonce.
    #[must_use]
    pub fn issue(vault: &Vault, device: &DeviceId, now: Timestamp) -> Self {
        let made = now.as_micros().to_be_bytes();
        let tag = vault.mac(&context(device), &made);
        Self { nonce: b64u(&[&made[..], &tag].concat()), seq: now.as_micros(), expires_at: now + LIFETIME }
    }
}

/// Verifies a nonce. Returns when it was made; the caller uses that to detect reuse.
pub fn verify(vault: &Vault, device: &DeviceId, nonce: &str, now: Timestamp) -> Result<Timestamp, NonceError> {
    let bytes = b64u_decode(nonce).map_err(|_| NonceError::Unknown)?;
    let (made, tag) = bytes.split_at_checked(TIME).ok_or(NonceError::Unknown)?;
    vault.verify_mac(&context(device), made, tag).map_err(|_| NonceError::Unknown)?;
    let made = made.try_into().map(i64::from_be_bytes).map_err(|_| NonceError::Unknown)?;
    let made = Timestamp::from_micros(made);
    if made + LIFETIME <= now { Err(NonceError::Expired) } else { Ok(made) }
}

fn context(device: &DeviceId) -> String {
    format!("device-challenge/{device}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn device(letter: char) -> DeviceId {
        DeviceId::parse(&letter.to_string().repeat(43)).unwrap()
    }

    #[test]
    fn a_nonce_is_good_for_its_device_at_its_deployment_for_ten_minutes() {
        let (vault, ada) = (Vault::new(&[1; 32]), device('a'));
        let DeviceChallenge { nonce, seq, expires_at } = DeviceChallenge::issue(&vault, &ada, NOW);
        assert_eq!((seq, nonce.len()), (NOW.as_micros(), 54));
        let just_before = Timestamp::from_micros(expires_at.as_micros() - 1);
        assert_eq!(verify(&vault, &ada, &nonce, NOW), Ok(NOW));
        assert_eq!(verify(&vault, &ada, &nonce, just_before), Ok(NOW));
        assert_eq!(verify(&vault, &ada, &nonce, expires_at), Err(NonceError::Expired));
        assert_eq!(verify(&vault, &device('b'), &nonce, NOW), Err(NonceError::Unknown));
        assert_eq!(verify(&Vault::new(&[2; 32]), &ada, &nonce, NOW), Err(NonceError::Unknown));
        for other in ["", "!", &nonce[..20], &b64u(&[0; 8])] {
            assert_eq!(verify(&vault, &ada, other, NOW), Err(NonceError::Unknown), "{other}");
        }
    }

    proptest! {
        #[test]
        fn a_nonce_with_any_bit_changed_is_none(bit in 0_usize..320) {
            let (vault, ada) = (Vault::new(&[1; 32]), device('a'));
            let mut bytes = b64u_decode(&DeviceChallenge::issue(&vault, &ada, NOW).nonce).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(verify(&vault, &ada, &b64u(&bytes), NOW), Err(NonceError::Unknown));
        }
    }
}
