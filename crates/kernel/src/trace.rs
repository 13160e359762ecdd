//! W3C Trace Context: which request an event belongs to.

use std::{fmt, str::FromStr};

use crate::random::Random;

/// A `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Shared by everything that one request causes.
    pub trace_id: [u8; 16],
    /// Identifies this part of the trace.
    pub span_id: [u8; 8],
    /// Bit 0: sampled.
    pub flags: u8,
}

/// The header is not a valid `traceparent`; start a new trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent")]
pub struct InvalidTraceparent;

impl TraceContext {
    /// Starts a trace.
    #[must_use]
    pub fn new_root(random: &Random) -> Self {
        Self { trace_id: random.bytes(), span_id: random.bytes(), flags: 1 }
    }

    /// Starts a span of the same trace.
    #[must_use]
    pub fn child(&self, random: &Random) -> Self {
        Self { span_id: random.bytes(), ..*self }
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", hex::encode(self.trace_id), hex::encode(self.span_id), self.flags)
    }
}

impl FromStr for TraceContext {
    type Err = InvalidTraceparent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceparent> {
        let parts: Vec<&str> = text.split('-').collect();
        let (trace, span, flags) = match parts[..] {
            ["00", trace, span, flags] => (trace, span, flags),
            // Later versions may only append. Version ff is invalid.
            [version, trace, span, flags, ..] if is_later(version) => (trace, span, flags),
            _ => return Err(InvalidTraceparent),
        };
        if [trace, span, flags].iter().any(|part| part.bytes().any(|b| b.is_ascii_uppercase())) {
            return Err(InvalidTraceparent);
        }
        let mut context = Self { trace_id: [0; 16], span_id: [0; 8], flags: 0 };
        let mut flag = [0];
        hex::decode_to_slice(trace, &mut context.trace_id).map_err(|_| InvalidTraceparent)?;
        hex::decode_to_slice(span, &mut context.span_id).map_err(|_| InvalidTraceparent)?;
        hex::decode_to_slice(flags, &mut flag).map_err(|_| InvalidTraceparent)?;
        context.flags = flag[0];
        if context.trace_id == [0; 16] || context.span_id == [0; 8] {
            return Err(InvalidTraceparent);
        }
        Ok(context)
    }
}

fn is_later(version: &str) -> bool {
    version.len() == 2 && version.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) && version != "00" && version != "ff"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_survives_the_round_trip_and_zeros_are_refused() {
        let context = TraceContext::new_root(&Random::seeded(1));
        assert_eq!(context.to_string().parse(), Ok(context));
        for bad in ["", "00-0-0-00", "00-00000000000000000000000000000000-0000000000000001-01"] {
            assert_eq!(bad.parse::<TraceContext>(), Err(InvalidTraceparent));
        }
        let text = context.to_string();
        for bad in [text.to_uppercase(), format!("{text}-more"), format!("ff{}", &text[2..]), format!("0{text}")] {
            assert_eq!(bad.parse::<TraceContext>(), Err(InvalidTraceparent), "{bad}");
        }
        assert_eq!(format!("cc{}-more", &text[2..]).parse(), Ok(context), "a later version is read as far as it is known");
    }
}
