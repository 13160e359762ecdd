//! The bank's rules, pure.

use std::fmt;

/// The bank's name, on its pages and on phones.
pub const NAME: &str = "Acme Bank";
/// Every user's balance at first.
pub const OPENING_BALANCE: Cents = Cents(250_000);

/// An amount of euros, in cents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cents(pub i64);

impl Cents {
    /// Parses `90` or `90.50`, but not `90.5`: more than 0, and at most 999999.99.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (euros, cents) = text.split_once('.').unwrap_or((text, "00"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(euros) || !digits(cents) || euros.len() > 6 || cents.len() != 2 {
            return Err("must be an amount such as 90.00");
        }
        let number = |text: &str| text.parse::<i64>().unwrap_or_default();
        match number(euros) * 100 + number(cents) {
            0 => Err("must be more than 0"),
            all => Ok(Self(all)),
        }
    }

    /// Subtracts.
    pub const fn less(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// Validates a user name.
pub fn user(name: &str) -> Result<String, &'static str> {
    let name = name.trim().to_lowercase();
    let plain = |c: char| c.is_alphanumeric() || ".-_@+".contains(c);
    if (1..=64).contains(&name.chars().count()) && name.chars().all(plain) {
        Ok(name)
    } else {
        Err("must be 1 to 64 letters, digits or . - _ @ +")
    }
}

/// Validates a payee.
pub fn payee(name: &str) -> Result<String, &'static str> {
    let name = name.trim();
    if (1..=70).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        Ok(name.to_owned())
    } else {
        Err("must be 1 to 70 characters")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_to_the_cent_or_not_at_all() {
        assert_eq!(Cents::parse("90.00"), Ok(Cents(9_000)));
        assert_eq!(Cents::parse("90"), Ok(Cents(9_000)));
        assert_eq!(Cents::parse("999999.99").unwrap().to_string(), "999999.99");
        for wrong in ["", "0", "0.00", ".50", "1.5", "1.234", "-1", "+1", "1e3", "1,00", "1000000", "９"] {
            assert!(Cents::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_are_plain_and_the_same_in_any_case() {
        assert_eq!(user(" Ada.Lovelace@Example ").unwrap(), "ada.lovelace@example");
        for wrong in ["", "a b", "a/b", "a\u{202e}b", &"a".repeat(65)] {
            assert!(user(wrong).is_err(), "{wrong}");
        }
        assert!(payee("Grace Hopper").is_ok() && payee("a\nb").is_err() && payee(" ").is_err());
    }
}
