//! Text sent by people and programs.

use nodkey_kernel::visible::{self, Unshowable};

/// Accepts text of at most `max` characters that only programs read, unchanged.
pub fn optional(text: &str, max: usize) -> Result<String, Unshowable> {
    if text.chars().count() > max {
        return Err(Unshowable::TooLong(max));
    }
    if text.chars().any(char::is_control) {
        return Err(Unshowable::Control);
    }
    Ok(text.to_owned())
}

/// As [`optional`], but must not be blank.
pub fn required(text: &str, max: usize) -> Result<String, Unshowable> {
    if text.trim().is_empty() {
        return Err(Unshowable::Blank);
    }
    optional(text, max)
}

/// Accepts a name of at most `max` characters that people see, unchanged. Names stored before this check existed are kept.
pub fn name(text: &str, max: usize) -> Result<String, Unshowable> {
    visible::check(text, max).map(|()| text.to_owned())
}

/// As [`name`], but may be empty.
pub fn optional_name(text: &str, max: usize) -> Result<String, Unshowable> {
    visible::check_optional(text, max).map(|()| text.to_owned())
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
                Err(Unshowable::Blank) => prop_assert!(text.trim().is_empty()),
                Err(Unshowable::TooLong(_)) => prop_assert!(text.chars().count() > max),
                Err(Unshowable::Control) => prop_assert!(text.chars().any(char::is_control)),
                Err(Unshowable::Hidden(c)) => prop_assert!(false, "{c:?} is for names alone"),
            }
        }
    }

    #[test]
    fn names_show_what_they_are() {
        for bad in ["Acme\u{202E}", "\u{200B}", "Ac\u{AD}me\u{2066}", "\u{3164}"] {
            assert!(name(bad, 100).is_err() && optional_name(bad, 100).is_err(), "{bad:?}");
        }
        assert_eq!((name("", 100), optional_name("", 100)), (Err(Unshowable::Blank), Ok(String::new())));
        assert_eq!(name("Ärzte für alle 👩🏽‍⚕️", 100).as_deref(), Ok("Ärzte für alle 👩🏽‍⚕️"));
    }
}
