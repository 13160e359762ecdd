//! What all conversions need.

use std::time::SystemTime;

use nodkey_proto::convert;
use prost_types::Timestamp;

use crate::{Error, ErrorKind, Level, time};

/// What the server sent cannot be read: it is newer than this crate, or something else.
pub fn unexpected(what: &str) -> Error {
    Error::client("UNEXPECTED_ANSWER", ErrorKind::Internal, format!("the server sent {what}"))
}

pub fn required<T>(value: Option<T>) -> Result<T, Error> {
    value.ok_or_else(|| unexpected("an answer without a member that every answer has"))
}

/// What is empty is not there.
pub fn text<T: From<String>>(text: String) -> Option<T> {
    (!text.is_empty()).then(|| text.into())
}

pub fn time(at: Option<Timestamp>) -> Option<SystemTime> {
    at.as_ref().and_then(convert::from_timestamp).map(time::from_timestamp)
}

pub fn to_time(at: SystemTime) -> Timestamp {
    convert::timestamp(time::to_timestamp(at))
}

/// `None`: none.
pub fn level(number: i32) -> Result<Option<Level>, Error> {
    match (number, Level::from_number(number)) {
        (0, _) => Ok(None),
        (_, Some(level)) => Ok(Some(level)),
        (_, None) => Err(unexpected("a level that this release does not know")),
    }
}

/// Enums of the contract, without the value that means nothing, and with one for those of later releases.
macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident of $message:ty { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
            /// One that this release does not know, with its number in `proto/`.
            Unknown(i32),
        }

        impl $name {
            /// Its name in the APIs; `UNKNOWN` for [`Unknown`](Self::Unknown).
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Unknown(_) => "UNKNOWN",
                }
            }

            /// `None`: it is not specified.
            pub(crate) const fn from_wire(number: i32) -> Option<Self> {
                match number {
                    0 => None,
                    $(number if number == <$message>::$variant as i32 => Some(Self::$variant),)+
                    other => Some(Self::Unknown(other)),
                }
            }
        }
    };
}

/// The number of an enum that is sent, too.
macro_rules! to_wire {
    ($name:ident of $message:ty { $($variant:ident,)+ }) => {
        impl $name {
            pub(crate) const fn to_wire(self) -> i32 {
                match self {
                    $(Self::$variant => <$message>::$variant as i32,)+
                    Self::Unknown(number) => number,
                }
            }
        }
    };
}

/// A call of a service, as `nodkey_client` makes it.
macro_rules! send {
    ($inner:expr, $service:ident, $client:ident :: $method:ident, $message:expr) => {{
        let client = &$inner.client;
        let answer = client.call($message, |message| {
            let channel = client.channel(nodkey_client::ServiceName::$service);
            let mut client = $client::new(channel).max_decoding_message_size(nodkey_client::MAX_MESSAGE);
            async move { client.$method(message).await }
        });
        answer.await.map_err(crate::Error::of_call)
    }};
}

/// A list, by the message that requests a page of it.
macro_rules! list {
    ($inner:expr, $service:ident, $client:ident :: $method:ident, $message:expr, $items:ident => $convert:expr) => {{
        let (inner, message) = (std::sync::Arc::clone(&$inner), $message);
        crate::List::new(move |page_size, page_token| {
            let (inner, mut message) = (std::sync::Arc::clone(&inner), message.clone());
            message.page_size = page_size;
            message.page_token = page_token;
            Box::pin(async move {
                let page = send!(inner, $service, $client::$method, message)?;
                let items = page.$items.into_iter().map($convert).collect::<Result<Vec<_>, crate::Error>>()?;
                Ok((items, page.next_page_token))
            })
        })
    }};
}

pub(crate) use {list, send, to_wire, wire_enum};
