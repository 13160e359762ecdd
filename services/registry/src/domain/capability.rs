//! Optional capabilities of the app on a device.

use nodkey_kernel::device::MATCH6;
use serde::{Deserialize, Serialize};

/// Capabilities by name. Unknown names come from newer apps and are ignored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<&'static str>")]
pub struct Capabilities {
    /// The app accepts match numbers of six digits.
    pub match6: bool,
}

impl Capabilities {
    /// The names of the known capabilities.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.match6.then_some(MATCH6).into_iter()
    }
}

impl<S: AsRef<str>> FromIterator<S> for Capabilities {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        names.into_iter().fold(Self::default(), |known, name| Self { match6: known.match6 || name.as_ref() == MATCH6 })
    }
}

impl From<Vec<String>> for Capabilities {
    fn from(names: Vec<String>) -> Self {
        names.iter().collect()
    }
}

impl From<Capabilities> for Vec<&'static str> {
    fn from(capabilities: Capabilities) -> Self {
        capabilities.names().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_means_nothing() {
        for (json, match6) in [("[]", false), (r#"["match6"]"#, true), (r#"["match9","match6","match6"]"#, true), (r#"["MATCH6"]"#, false)]
        {
            let read: Capabilities = serde_json::from_str(json).unwrap();
            assert_eq!(read, Capabilities { match6 }, "{json}");
            assert_eq!(serde_json::to_string(&read).unwrap(), if match6 { r#"["match6"]"# } else { "[]" });
        }
    }
}
