//! `Authorization` headers (RFC 9110 section 11.4).

/// Returns what follows the name of a scheme, which is case-insensitive; `None` for another scheme.
#[must_use]
pub fn credentials<'a>(header: &'a str, scheme: &str) -> Option<&'a str> {
    let (named, credentials) = header.split_once(' ')?;
    named.eq_ignore_ascii_case(scheme).then(|| credentials.trim_start_matches(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_is_the_same_in_any_case_and_after_it_come_spaces() {
        for bearer in ["Bearer a.b", "bearer a.b", "BEARER a.b", "bEaReR   a.b"] {
            assert_eq!(credentials(bearer, "Bearer"), Some("a.b"), "{bearer}");
        }
        for other in ["", "Bearer", "Bearera.b", " Bearer a.b", "Basic a.b", "Bearer\ta.b", "Be\u{e4}rer a.b"] {
            assert_eq!(credentials(other, "Bearer"), None, "{other}");
        }
    }
}
