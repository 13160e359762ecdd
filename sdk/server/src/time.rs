//! Times of the standard library, to the microsecond.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nodkey_kernel::time::Timestamp;

/// What no clock of this system can hold is 1970.
pub fn from_timestamp(at: Timestamp) -> SystemTime {
    let micros = at.as_micros();
    let distance = Duration::from_micros(micros.unsigned_abs());
    let time = if micros < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    time.unwrap_or(UNIX_EPOCH)
}

pub fn from_micros(micros: i64) -> SystemTime {
    from_timestamp(Timestamp::from_micros(micros))
}

pub fn from_seconds(seconds: i64) -> SystemTime {
    from_micros(seconds.saturating_mul(1_000_000))
}

/// Beyond the year 290 000 it is the last that can be told.
pub fn to_timestamp(at: SystemTime) -> Timestamp {
    let micros = match at.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
    };
    Timestamp::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_the_same_to_the_microsecond_before_and_after_1970() {
        for micros in [0, 1, -1, 1_790_000_000_250_001, -62_135_596_800_000_000] {
            let at = Timestamp::from_micros(micros);
            assert_eq!(to_timestamp(from_timestamp(at)), at, "{micros}");
        }
        assert_eq!(from_seconds(-1), UNIX_EPOCH - Duration::from_secs(1));
    }

    #[test]
    fn a_time_that_cannot_be_told_is_no_panic() {
        for seconds in [i64::MAX, i64::MIN] {
            let _ = from_seconds(seconds);
        }
    }
}
