//! Encoding of messages on a channel: prost, with requests accepted only once their texts are valid.

use std::marker::PhantomData;

use bytes::{Buf as _, Bytes};
use nodkey_kernel::error::{FieldViolation, Kind};
use prost::Message;
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder},
};
use tonic_prost::{ProstDecoder, ProstEncoder};

use crate::{
    refusal::refusal,
    text::{self, Fault, Sent},
};

/// Description of a message with more levels than are read.
const TOO_DEEP: &str = "is nested too deeply";

/// Encodes `T` and decodes `U`. Generated clients and servers use it, so every gRPC endpoint checks its requests.
#[derive(Clone, Debug)]
pub struct Checked<T, U>(PhantomData<(T, U)>);

/// Decodes `U`.
#[derive(Clone, Debug)]
pub struct CheckedDecoder<U>(PhantomData<U>);

impl<T, U> Default for Checked<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: Message + Send + 'static, U: Sent + Send + 'static> Codec for Checked<T, U> {
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = CheckedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        CheckedDecoder(PhantomData)
    }
}

impl<U: Sent> Decoder for CheckedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        if U::REQUEST.is_none() {
            return ProstDecoder::default().decode(buf);
        }
        // Does not copy.
        read(buf.copy_to_bytes(buf.remaining())).map(Some)
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

/// Decodes a request.
pub fn read<M: Sent>(message: Bytes) -> Result<M, Status> {
    match text::check(M::REQUEST.unwrap_or_default(), &message) {
        Ok(()) => M::decode(message).map_err(|e| malformed(unreadable(&e.to_string()).as_slice())),
        Err(Fault::Malformed) => Err(malformed(&[])),
        Err(Fault::TooDeep(field)) => Err(malformed(&[FieldViolation::new(field, TOO_DEEP)])),
        Err(Fault::Field(violation)) => {
            let FieldViolation { field, description } = &violation;
            Err(refusal(
                Kind::Invalid,
                ("VALIDATION_FAILED", None),
                format!("{field} {description}"),
                std::slice::from_ref(&violation),
                None,
            ))
        }
    }
}

/// The sender is at fault. tonic would report an internal error, and clients would retry.
fn malformed(field: &[FieldViolation]) -> Status {
    let text = "the message is not one of this method's, or is nested too deeply";
    refusal(Kind::Invalid, ("MALFORMED_MESSAGE", None), text, field, None)
}

/// Names the invalid field: prost reports the path as `Message.field: ` starting with the innermost, and then the reason.
fn unreadable(said: &str) -> Option<FieldViolation> {
    let said = said.strip_prefix("failed to decode Protobuf message: ")?;
    let fault = if said.ends_with("recursion limit reached") { TOO_DEEP } else { "cannot be read" };
    let outermost = said.split(": ").filter(|part| !part.contains(' ')).last();
    outermost.and_then(|path| path.split_once('.')).map(|(_, field)| FieldViolation::new(field, fault))
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use tonic_types::StatusExt as _;

    use prost::encoding::encode_varint;

    use super::*;
    use crate::{registry::v1::GetDeviceRequest, trusonafication::v1::CreateTrusonaficationRequest};

    #[test]
    fn what_cannot_be_read_is_invalid_and_its_field_is_named() {
        let field = |tag: u8, value: &[u8]| {
            let mut bytes = vec![tag];
            encode_varint(u64::try_from(value.len()).unwrap(), &mut bytes);
            [&bytes, value].concat()
        };
        // Nested objects in a `Struct`: `fields` has an entry whose value is the next object.
        let deep =
            |levels| (0..levels).fold(Vec::new(), |inner, _| field(0x0a, &[field(0x0a, b"a"), field(0x12, &field(0x2a, &inner))].concat()));
        for (bytes, expected) in [
            (field(0x62, &deep(34)), Some(("custom_fields", TOO_DEEP))),
            (field(0x62, &deep(10_000)), Some(("custom_fields", TOO_DEEP))),
            (b"\x10\xff".to_vec(), None),
        ] {
            let refused = read::<CreateTrusonaficationRequest>(bytes.into()).unwrap_err();
            assert_eq!(refused.get_details_error_info().unwrap().reason, "MALFORMED_MESSAGE");
            let violations = refused.get_details_bad_request().map(|details| details.field_violations).unwrap_or_default();
            let found = violations.first().map(|violation| (violation.field.as_str(), violation.description.as_str()));
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_request_that_is_refused_says_which_field_is_wrong_and_none_is_a_fault_of_ours() {
        let good = GetDeviceRequest { device_id: "d".to_owned() };
        assert_eq!(read::<GetDeviceRequest>(good.encode_to_vec().into()).unwrap(), good);
        let refused = read::<GetDeviceRequest>(Bytes::from_static(b"\x0a\x01\0")).unwrap_err();
        let violations = refused.get_details_bad_request().unwrap().field_violations;
        assert_eq!((refused.code(), violations[0].field.as_str()), (Code::InvalidArgument, "device_id"));
        // A number in place of text.
        for malformed in [&b"\xff"[..], b"\x08\x01"] {
            let refused = read::<GetDeviceRequest>(Bytes::from_static(malformed)).unwrap_err();
            assert_eq!(refused.get_details_error_info().unwrap().reason, "MALFORMED_MESSAGE");
        }
    }
}
