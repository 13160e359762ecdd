//! What evidence shows, and that nobody makes evidence of what did not happen.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod attacks;
mod expectations;
mod vectors;
mod world;
