//! Invariants of every row, no matter what wrote it. They are checked when rows are read and before they are written.
//!
//! A violation is an error that names the row, and a metric. It is never a panic, so other rows stay usable.

use nodkey_db::DbError;
use nodkey_runtime::rows::Violation;

use crate::domain::Binding;

/// Checks a binding: its version counts its transitions, and each happens at most once.
pub fn check(binding: &Binding) -> Result<(), DbError> {
    let changes = [binding.state.activated_at(), binding.state.deactivated_at()].into_iter().flatten().count();
    let counts = usize::try_from(binding.version) == Ok(1 + changes);
    let holds = Violation::unless(counts, "version_counts_changes", "version");
    holds.map_err(|violation| violation.of("binding", "binding", binding.id))
}
