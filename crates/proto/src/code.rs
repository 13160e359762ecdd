//! The names of gRPC's codes.

use tonic::Code;

/// The names of the codes as protobuf spells them, by number.
pub const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The name of a code, for spans, metrics and people.
#[must_use]
pub const fn code_name(code: Code) -> &'static str {
    CODES[code as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_the_name_of_its_number() {
        for (number, name) in CODES.iter().enumerate() {
            let code = Code::from_i32(i32::try_from(number).unwrap());
            let spelled: String = format!("{code:?}").chars().enumerate().fold(String::new(), |text, (i, c)| {
                let separator = if i > 0 && c.is_ascii_uppercase() && code != Code::Ok { "_" } else { "" };
                text + separator + &c.to_ascii_uppercase().to_string()
            });
            assert_eq!(spelled, *name, "{number}");
        }
        assert_eq!(Code::from_i32(i32::try_from(CODES.len()).unwrap()), Code::Unknown, "there are no more");
    }
}
