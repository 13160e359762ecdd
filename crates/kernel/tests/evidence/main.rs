//! What evidence shows, and that nobody can make evidence of something that did not happen.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod attacks;
mod expectations;
mod vectors;
mod world;
