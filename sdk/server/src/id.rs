//! Identifiers, each of a type of its own, so that none is taken for another.

macro_rules! identifiers {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        ///
        /// Anything that is text is taken as one; the server says whether it is known.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<&Self> for $name {
            fn from(id: &Self) -> Self {
                id.clone()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, text: &str) -> bool {
                self.0 == text
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, text: &&str) -> bool {
                self.0 == *text
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

identifiers! {
    /// A trusonafication: a UUID.
    TrusonaficationId;
    /// The result of a trusonafication: a UUID.
    ResultId;
    /// A binding: a UUID, which is also its activation code.
    BindingId;
    /// A user, by the name that you give them: 1 to 255 characters.
    UserIdentifier;
    /// A device: 43 characters, the thumbprint (RFC 7638) of its key.
    DeviceIdentifier;
    /// A secure QR code: a UUID.
    CodeId;
    /// An identity document: a UUID.
    DocumentId;
    /// A webhook endpoint: a UUID.
    EndpointId;
    /// A delivery: a UUID, the `webhook-id`.
    DeliveryId;
    /// A relying party: a UUID.
    RelyingPartyId;
}
