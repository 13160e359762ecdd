//! Text that is shown to people, who decide by it.
//!
//! Invisible characters, and characters that reorder the others, can make a text look like another: "pay 10 EUR to Bob" may be something
//! else. Where text is shown as it is, such characters are refused ([`check`]). Where a backend's data must be shown whatever it contains,
//! they are shown by their number ([`escape`]).

use std::fmt::Write as _;

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeEmoji as _, UnicodeGeneralCategory as _};

/// Why a text must not be shown as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unshowable {
    /// It contains nothing visible.
    #[error("must not be blank")]
    Blank,
    /// It is too long.
    #[error("must be at most {0} characters")]
    TooLong(usize),
    /// A control character. Some databases do not accept these either.
    #[error("must not hold control characters")]
    Control,
    /// A character that is invisible, or that changes the order in which the others are shown.
    #[error("must not hold invisible or bidirectional control characters: {}", number(*.0))]
    Hidden(char),
}

fn number(c: char) -> String {
    format!("U+{:04X}", u32::from(c))
}

/// Checks a text of at most `max` characters that is shown to a person. It must contain something visible.
pub fn check(text: &str, max: usize) -> Result<(), Unshowable> {
    check_optional(text, max)?;
    if text.chars().any(is_visible) { Ok(()) } else { Err(Unshowable::Blank) }
}

/// Checks like [`check`], but accepts a text with nothing visible.
pub fn check_optional(text: &str, max: usize) -> Result<(), Unshowable> {
    if text.chars().count() > max {
        return Err(Unshowable::TooLong(max));
    }
    match hidden(text).map(|(_, c)| c).next() {
        Some(c) if c.is_control() => Err(Unshowable::Control),
        Some(c) => Err(Unshowable::Hidden(c)),
        None if text.is_empty() || text.chars().any(is_visible) => Ok(()),
        None => Err(Unshowable::Blank),
    }
}

/// Replaces each character that [`check`] refuses with its number, `\u{202E}`, so that every character is visible, in its actual order.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut after = 0;
    for (at, c) in hidden(text) {
        escaped.push_str(&text[after..at]);
        // Writing to a String never fails.
        let _ = write!(escaped, "\\u{{{:04X}}}", u32::from(c));
        after = at + c.len_utf8();
    }
    escaped.push_str(&text[after..]);
    escaped
}

/// The characters of a text that must not be shown, and their positions.
fn hidden(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut before = None;
    text.char_indices().filter(move |(at, c)| {
        let before = before.replace(*c);
        let joins = || before.is_some_and(is_joined) && text[at + c.len_utf8()..].chars().next().is_some_and(is_joined);
        is_hidden(*c) || (matches!(c, '\u{200C}' | '\u{200D}') && !joins())
    })
}

/// Control characters (tabs and line breaks too), line and paragraph separators, bidirectional embeddings, overrides and isolates, zero-width
/// spaces, invisible operators, deprecated format characters, tags.
const fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{0000}'..='\u{001F}' | '\u{007F}'..='\u{009F}' | '\u{200B}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{FEFF}' | '\u{E0000}'..='\u{E007F}')
}

/// What a zero-width joiner or non-joiner may be next to: letters with their marks, and emoji with theirs.
fn is_joined(c: char) -> bool {
    let group = c.general_category_group();
    matches!(group, GeneralCategoryGroup::Letter | GeneralCategoryGroup::Mark) || (!c.is_ascii() && c.is_emoji_char())
}

/// Whether a character is visible: a mark needs a base character, and some letters and symbols are blank.
fn is_visible(c: char) -> bool {
    const BLANK: [char; 5] = ['\u{115F}', '\u{1160}', '\u{2800}', '\u{3164}', '\u{FFA0}'];
    let group = c.general_category_group();
    let shown = matches!(
        group,
        GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number | GeneralCategoryGroup::Punctuation | GeneralCategoryGroup::Symbol
    );
    // Characters that Unicode assigned later than our tables, such as new emoji, count as visible.
    (shown && !BLANK.contains(&c)) || matches!(c.general_category(), GeneralCategory::PrivateUse | GeneralCategory::Unassigned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One of each character that is refused wherever it appears.
    const REFUSED: [char; 22] = [
        '\0',
        '\n',
        '\t',
        '\u{7F}',
        '\u{85}',
        '\u{200B}',
        '\u{2028}',
        '\u{2029}',
        '\u{202A}',
        '\u{202B}',
        '\u{202D}',
        '\u{202E}',
        '\u{2060}',
        '\u{2064}',
        '\u{2066}',
        '\u{2067}',
        '\u{2068}',
        '\u{2069}',
        '\u{FEFF}',
        '\u{E0000}',
        '\u{E0041}',
        '\u{E007F}',
    ];

    fn refused() -> impl Strategy<Value = char> {
        prop::sample::select(REFUSED.to_vec())
    }

    proptest! {
        #[test]
        fn whatever_is_around_it_what_deceives_is_refused_and_escaped(before in any::<String>(), c in refused(), after in any::<String>()) {
            let text = format!("{before}{c}{after}");
            prop_assert!(check(&text, usize::MAX).is_err());
            prop_assert!(check_optional(&text, usize::MAX).is_err());
            prop_assert!(!escape(&text).contains(c));
        }

        #[test]
        fn what_is_taken_is_shown_as_it_is_and_what_is_escaped_would_be_taken(text in any::<String>()) {
            let escaped = escape(&text);
            let hides = |refusal| matches!(refusal, Err(Unshowable::Hidden(_) | Unshowable::Control));
            prop_assert_eq!(escaped == text, !hides(check(&text, usize::MAX)));
            prop_assert!(!hides(check(&escaped, usize::MAX)));
            prop_assert_eq!(escape(&escaped), escaped.clone());
        }

        #[test]
        fn text_of_people_is_taken(words in prop::collection::vec("[a-z日Ж][a-zA-Z0-9äßéñœøåčłőğžПривет日本語한국어עבריתعربيहिन्दी€$.,!?'-]{0,7}", 1..6)) {
            prop_assert_eq!(check(&words.join(" "), 255), Ok(()));
        }

        #[test]
        fn as_many_characters_as_fit_are_taken(n in 0..20_usize, max in 0..20_usize) {
            let expected = match n {
                n if n > max => Err(Unshowable::TooLong(max)),
                0 => Err(Unshowable::Blank),
                _ => Ok(()),
            };
            prop_assert_eq!(check(&"ж".repeat(n), max), expected);
        }
    }

    #[test]
    fn joiners_stay_between_letters_and_emoji_alone() {
        // Persian "I want", Hindi and Sinhala conjuncts, a family, a woman at work, a rainbow flag.
        for good in ["می‌خواهم", "क्‍ष", "ශ්‍රී", "👨‍👩‍👧‍👦", "👩🏽‍💻", "🏳️‍🌈"]
        {
            assert_eq!(check(good, 255), Ok(()), "{good}");
        }
        for bad in ["\u{200D}a", "a\u{200D}", "a \u{200C}b", "1\u{200D}2", "a\u{200D}\u{200D}b", "pay\u{200C}-", "\u{200D}"] {
            assert!(matches!(check(bad, 255), Err(Unshowable::Hidden('\u{200C}' | '\u{200D}'))), "{bad:?}");
        }
    }

    #[test]
    fn something_can_be_seen() {
        // Spaces, a combining accent on nothing, a soft hyphen, a variation selector, Hangul fillers, an empty Braille cell.
        for blank in ["", " ", "\u{A0}\u{3000}", "\u{301}", "\u{AD}", "\u{FE0F}", "\u{3164}\u{115F}", "\u{2800}"] {
            assert_eq!(check(blank, 255), Err(Unshowable::Blank), "{blank:?}");
        }
        assert_eq!((check_optional("", 255), check_optional(" \u{3164}", 255)), (Ok(()), Err(Unshowable::Blank)));
        for seen in ["a", "7", "-", "€", "東", "é", "🙂", "👍🏽", "🇨🇭"] {
            assert_eq!(check(seen, 255), Ok(()), "{seen}");
        }
    }

    #[test]
    fn a_refusal_names_the_character() {
        let refused = check("90 EUR\u{202E}", 255).unwrap_err();
        assert_eq!(refused.to_string(), "must not hold invisible or bidirectional control characters: U+202E");
        assert_eq!(escape("90\u{202E} EUR\n\u{E0041}"), "90\\u{202E} EUR\\u{000A}\\u{E0041}");
    }
}
