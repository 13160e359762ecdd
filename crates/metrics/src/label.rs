//! Labels and their values.

use nodkey_kernel::service_key::ServiceName;

/// The values of a label: an enum without fields.
pub trait Label: Copy + Send + Sync + 'static {
    /// Every value.
    const ALL: &'static [Self];

    /// The value as text.
    fn as_str(self) -> &'static str;

    /// The position of the value among all.
    fn index(self) -> usize;
}

/// Makes labels of enums that were declared with [`nodkey_kernel::named`].
#[macro_export]
macro_rules! labels {
    ($($name:ty),+ $(,)?) => {$(
        impl $crate::Label for $name {
            const ALL: &'static [Self] = <$name>::ALL;

            fn as_str(self) -> &'static str {
                <$name>::as_str(self)
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    )+};
}

labels!(ServiceName);

/// The labels of a metric: none, one or two.
pub trait Labels: Copy + Send + Sync + 'static {
    /// The values of each label.
    fn values() -> Vec<Vec<&'static str>>;

    /// The position among all combinations, which are ordered by the first label, then by the second.
    fn index(self) -> usize;
}

impl Labels for () {
    fn values() -> Vec<Vec<&'static str>> {
        Vec::new()
    }

    fn index(self) -> usize {
        0
    }
}

impl<A: Label> Labels for A {
    fn values() -> Vec<Vec<&'static str>> {
        vec![names::<A>()]
    }

    fn index(self) -> usize {
        Label::index(self)
    }
}

impl<A: Label, B: Label> Labels for (A, B) {
    fn values() -> Vec<Vec<&'static str>> {
        vec![names::<A>(), names::<B>()]
    }

    fn index(self) -> usize {
        self.0.index() * B::ALL.len() + self.1.index()
    }
}

fn names<L: Label>() -> Vec<&'static str> {
    L::ALL.iter().map(|value| value.as_str()).collect()
}

/// Every combination of values, in the order of [`Labels::index`].
pub(crate) fn combinations<L: Labels>() -> Vec<Vec<&'static str>> {
    L::values().iter().fold(vec![Vec::new()], |known, values| {
        known.iter().flat_map(|before| values.iter().map(move |value| [before.as_slice(), &[*value]].concat())).collect()
    })
}

#[cfg(test)]
mod tests {
    use nodkey_kernel::named;

    use super::*;

    named! {
        /// A size.
        enum Size {
            /// Little.
            Small = "small",
            /// Much.
            Large = "large",
        }
    }
    labels!(Size);

    #[test]
    fn every_combination_has_a_position_of_its_own() {
        let all = combinations::<(ServiceName, Size)>();
        assert_eq!(all.len(), ServiceName::ALL.len() * 2);
        for (service, size) in ServiceName::ALL.iter().flat_map(|service| Size::ALL.iter().map(move |size| (*service, *size))) {
            assert_eq!(all[Labels::index((service, size))], [service.as_str(), size.as_str()]);
        }
        assert_eq!(combinations::<()>(), [Vec::<&str>::new()], "a metric without labels is one");
        assert_eq!(combinations::<Size>(), [["small"], ["large"]]);
    }
}
