//! How messages are read and written on a channel: by prost, and requests only once their texts are what they may be.

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

/// Writes `T` and reads `U`. Generated clients and servers use it, so that it stands at every door.
#[derive(Clone, Debug)]
pub struct Checked<T, U>(PhantomData<(T, U)>);

/// Reads `U`.
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
        // Not copied.
        read(buf.copy_to_bytes(buf.remaining())).map(Some)
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

/// Reads a request from its bytes.
pub fn read<M: Sent>(message: Bytes) -> Result<M, Status> {
    let checked = text::check(M::REQUEST.unwrap_or_default(), &message).and_then(|()| M::decode(message).map_err(|_| Fault::Malformed));
    checked.map_err(|fault| match fault {
        Fault::Malformed => refusal(Kind::Invalid, ("MALFORMED_MESSAGE", None), "the message is not the one of this method", &[], None),
        Fault::Field(violation) => {
            let FieldViolation { field, description } = &violation;
            refusal(Kind::Invalid, ("VALIDATION_FAILED", None), format!("{field} {description}"), std::slice::from_ref(&violation), None)
        }
    })
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::registry::v1::GetDeviceRequest;

    #[test]
    fn a_request_that_is_refused_says_which_field_is_wrong_and_none_is_a_fault_of_ours() {
        let good = GetDeviceRequest { device_id: "d".to_owned() };
        assert_eq!(read::<GetDeviceRequest>(good.encode_to_vec().into()).unwrap(), good);
        let refused = read::<GetDeviceRequest>(Bytes::from_static(b"\x0a\x01\0")).unwrap_err();
        let violations = refused.get_details_bad_request().unwrap().field_violations;
        assert_eq!((refused.code(), violations[0].field.as_str()), (Code::InvalidArgument, "device_id"));
        // A number where there is text.
        for malformed in [&b"\xff"[..], b"\x08\x01"] {
            let refused = read::<GetDeviceRequest>(Bytes::from_static(malformed)).unwrap_err();
            assert_eq!(refused.get_details_error_info().unwrap().reason, "MALFORMED_MESSAGE");
        }
    }
}
