//! Enums that are stored and sent by name.

/// The text is not one of an enum's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not the name of a {0}")]
pub struct UnknownName(
    /// The enum.
    pub &'static str,
);

/// Defines an enum whose variants have names. `as_str` returns the name, `TryFrom<&str>` accepts exactly these names, and `ALL` lists every
/// variant.
#[macro_export]
macro_rules! named {
    ($(#[$doc:meta])* $visibility:vis enum $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $visibility enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Every variant.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The variant's name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl TryFrom<&str> for $name {
            type Error = $crate::named::UnknownName;

            fn try_from(name: &str) -> Result<Self, Self::Error> {
                match name { $($text => Ok(Self::$variant),)+ _ => Err($crate::named::UnknownName(stringify!($name))) }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    named! {
        /// A color.
        enum Color {
            /// Like blood.
            Red = "red",
            /// Like grass.
            LightGreen = "light_green",
        }
    }

    #[test]
    fn every_name_is_read_back_and_no_other_text_is() {
        for color in Color::ALL {
            assert_eq!(Color::try_from(color.as_str()), Ok(*color));
        }
        for other in ["", "Red", "light-green", "red ", "0"] {
            assert_eq!(Color::try_from(other), Err(UnknownName("Color")), "{other}");
        }
        assert_eq!(UnknownName("Color").to_string(), "is not the name of a Color");
    }
}
