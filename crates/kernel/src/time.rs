//! Time as a value and as a parameter.

use std::{
    fmt,
    ops::{Add, Sub},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A point in time, in microseconds since 1970-01-01T00:00:00Z, as both engines store it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text is not an RFC 3339 date and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 date and time, such as 2026-01-02T03:04:05Z")]
pub struct InvalidTimestamp;

impl Timestamp {
    /// From microseconds since the epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// From seconds since the epoch (NumericDate of RFC 7519); saturates.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Parses RFC 3339 with any offset and 0 to 9 fractional digits; digits beyond microseconds are dropped. Also accepts the shorter forms
    /// of ISO 8601: PostgreSQL's text format has offsets such as `+00`. A time without an offset is refused.
    pub fn parse_rfc3339(text: &str) -> Result<Self, InvalidTimestamp> {
        let at: jiff::Timestamp = text.parse().map_err(|_| InvalidTimestamp)?;
        Ok(Self(at.as_microsecond()))
    }

    /// Duration until `later`; zero when it is past.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_micros(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }

    /// IMF-fixdate (RFC 9110 section 5.6.7): `Tue, 15 Nov 1994 08:12:31 GMT`.
    #[must_use]
    pub fn to_http_date(self) -> String {
        self.jiff().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    /// Parses a date of RFC 2822 or RFC 9110 as old clients write it: any weekday, any white space, any spelling of the zone.
    pub fn parse_http_date(text: &str) -> Result<Self, InvalidTimestamp> {
        let parser = jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true);
        let at = parser.parse_timestamp(text).map_err(|_| InvalidTimestamp)?;
        Ok(Self(at.as_microsecond()))
    }

    /// Values outside jiff's range saturate.
    fn jiff(self) -> jiff::Timestamp {
        let nearest = if self.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(nearest)
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-01-02T03:04:05.678Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.jiff().strftime("%Y-%m-%dT%H:%M:%S.%3fZ"))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse_rfc3339(&text).map_err(D::Error::custom)
    }
}

/// Source of the current time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The system clock.
    System,
    /// A clock that stands still until it is advanced.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self::System
    }

    /// A clock that stands at `at`; its clones share it.
    #[must_use]
    pub fn manual(at: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(at.0)))
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp(system_micros()),
            Self::Manual(at) => Timestamp(at.load(Ordering::SeqCst)),
        }
    }

    /// Advances a manual clock. Has no effect on the system clock.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(at) = self {
            at.fetch_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
fn system_micros() -> i64 {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_clients_send_and_prints_milliseconds() {
        for (text, printed) in [
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000Z"),
            ("2026-01-02T03:04:05.6789012Z", "2026-01-02T03:04:05.678Z"),
            ("2026-01-02T05:04:05.5+02:00", "2026-01-02T03:04:05.500Z"),
        ] {
            assert_eq!(Timestamp::parse_rfc3339(text).unwrap().to_string(), printed);
        }
        assert_eq!(Timestamp::parse_rfc3339("yesterday"), Err(InvalidTimestamp));
    }

    #[test]
    fn http_dates_are_imf_fixdates() {
        assert_eq!(Timestamp::from_seconds(784_887_151).to_http_date(), "Tue, 15 Nov 1994 08:12:31 GMT");
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(Timestamp::from_seconds(1));
        let other = clock.clone();
        other.advance(Duration::from_secs(2));
        assert_eq!(clock.now(), Timestamp::from_seconds(3));
        assert_eq!(clock.now().until(Timestamp::from_seconds(1)), Duration::ZERO);
    }
}
