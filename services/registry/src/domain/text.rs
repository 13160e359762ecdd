//! Text that people and programs send.

/// The text does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// Nothing in it.
    #[error("must not be blank")]
    Blank,
    /// Too much in it.
    #[error("must be at most {0} characters")]
    TooLong(usize),
    /// Something in it that nobody can see, and that not every database takes.
    #[error("must not contain control characters")]
    Control,
}

/// Takes text of at most `max` characters, as it is.
pub fn optional(text: &str, max: usize) -> Result<String, InvalidText> {
    if text.chars().count() > max {
        return Err(InvalidText::TooLong(max));
    }
    if text.chars().any(char::is_control) {
        return Err(InvalidText::Control);
    }
    Ok(text.to_owned())
}

/// The same, but not blank.
pub fn required(text: &str, max: usize) -> Result<String, InvalidText> {
    if text.trim().is_empty() {
        return Err(InvalidText::Blank);
    }
    optional(text, max)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_is_taken_as_it_is_or_not_at_all(text in ".{0,12}", max in 0_usize..12) {
            match required(&text, max) {
                Ok(taken) => {
                    prop_assert_eq!(&taken, &text);
                    prop_assert!(taken.chars().count() <= max && !taken.trim().is_empty());
                }
                Err(InvalidText::Blank) => prop_assert!(text.trim().is_empty()),
                Err(InvalidText::TooLong(_)) => prop_assert!(text.chars().count() > max),
                Err(InvalidText::Control) => prop_assert!(text.chars().any(char::is_control)),
            }
        }
    }
}
