//! How a sleeping phone is woken (`docs/guides/push.md`).

use std::fmt;

/// What a push provider gave to the app. It is enough to wake the phone, and does not show in debug output.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushRegistration {
    /// Apple's.
    Apns {
        /// The device token, in hexadecimal.
        token: String,
    },
    /// Google's.
    Fcm {
        /// The registration token.
        token: String,
    },
    /// A browser's.
    WebPush {
        /// An `https` URL.
        endpoint: String,
        /// Of the subscription.
        keys: WebPushKeys,
    },
    /// The distributor of the user's choice.
    UnifiedPush {
        /// An `https` URL.
        endpoint: String,
        /// Of the subscription, if the distributor gave any.
        keys: Option<WebPushKeys>,
    },
}

/// The keys to encrypt a push message with (RFC 8291 section 2).
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebPushKeys {
    /// Uncompressed P-256 point, base64url.
    pub p256dh: String,
    /// 16 bytes, base64url.
    pub auth: String,
}

impl WebPushKeys {
    /// The `keys` of a `PushSubscription`.
    #[must_use]
    pub fn new(p256dh: impl Into<String>, auth: impl Into<String>) -> Self {
        Self { p256dh: p256dh.into(), auth: auth.into() }
    }
}

impl fmt::Debug for PushRegistration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Apns { .. } => "Apns",
            Self::Fcm { .. } => "Fcm",
            Self::WebPush { .. } => "WebPush",
            Self::UnifiedPush { .. } => "UnifiedPush",
        })
    }
}

impl fmt::Debug for WebPushKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebPushKeys")
    }
}
