//! The gRPC service of TruCodes.

use nodkey_kernel::{
    error::FieldViolation,
    id::{RelyingPartyId, TruCodeId},
    visible,
};
use nodkey_proto::{
    convert::timestamp,
    trusonafication::v1::{
        CreateTruCodeRequest, GetPairingRequest, GetTruCodeContextRequest, GetTruCodeStatusRequest, PairTruCodeRequest, Pairing,
        TruCode as Message, TruCodeContext, TruCodeStatus, tru_code_service_server::TruCodeService,
    },
};
use nodkey_runtime::{Failure, Validation, caller, status::status, uninterrupted};
use tonic::{Request, Response, Status};

use super::Api;
use crate::domain::{MAX_IDENTIFIER, TruCode};

#[tonic::async_trait]
impl TruCodeService for Api {
    async fn create_tru_code(&self, request: Request<CreateTruCodeRequest>) -> Result<Response<Message>, Status> {
        let asked = request.into_inner();
        let party: RelyingPartyId = asked.relying_party_id.parse().map_err(|_| unknown_party())?;
        let mut validation = Validation::default();
        // The phone shows both.
        validation.read("origin", visible::check_optional(&asked.origin, MAX_IDENTIFIER));
        validation.read("place", visible::check_optional(&asked.place, 100));
        validation.finish().map_err(status)?;
        let app = self.0.clone();
        let created = uninterrupted(async move { app.create_trucode(party, asked.origin, asked.place).await }).await;
        let code = created.map_err(status).map_err(|e| if e.code() == tonic::Code::NotFound { unknown_party() } else { e })?;
        Ok(Response::new(Message {
            id: code.id.to_string(),
            relying_party_id: code.relying_party.to_string(),
            payload: code.payload,
            expires_at: Some(timestamp(code.expires_at)),
            match_number: code.match_number.unwrap_or_default(),
        }))
    }

    async fn get_tru_code_status(&self, request: Request<GetTruCodeStatusRequest>) -> Result<Response<TruCodeStatus>, Status> {
        let asked = request.into_inner();
        let code = self.0.trucode_status(id(&asked.id)?, &asked.origin).await.map_err(status)?;
        let (id, paired) = (code.id.to_string(), code.identifier.is_some());
        Ok(Response::new(TruCodeStatus { id, paired, expires_at: Some(timestamp(code.expires_at)) }))
    }

    async fn get_tru_code_context(&self, request: Request<GetTruCodeContextRequest>) -> Result<Response<TruCodeContext>, Status> {
        let (code, relying_party_name) = self.0.trucode_context(&request.get_ref().reference).await.map_err(status)?;
        Ok(Response::new(TruCodeContext {
            relying_party_name,
            origin: code.origin,
            place: code.place,
            match_number: code.match_number.is_some(),
            expires_at: Some(timestamp(code.expires_at)),
        }))
    }

    async fn pair_tru_code(&self, request: Request<PairTruCodeRequest>) -> Result<Response<Pairing>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        let mut validation = Validation::default();
        validation.text("identifier", &asked.identifier, MAX_IDENTIFIER);
        validation.text("payload", &asked.payload, 2_000);
        validation.finish().map_err(status)?;
        let party = if asked.proven { Some(caller.relying_party()?) } else { None };
        let app = self.0.clone();
        let pair = async move { app.pair_trucode(party, &asked.payload, &asked.identifier, &asked.match_number).await };
        Ok(Response::new(pairing(uninterrupted(pair).await.map_err(status)?)))
    }

    async fn get_pairing(&self, request: Request<GetPairingRequest>) -> Result<Response<Pairing>, Status> {
        let party = caller(&request)?.relying_party()?;
        let code = self.0.pairing(party, id(&request.get_ref().id)?).await.map_err(status)?;
        Ok(Response::new(pairing(code)))
    }
}

fn pairing(code: TruCode) -> Pairing {
    Pairing { id: code.id.to_string(), identifier: code.identifier.unwrap_or_default() }
}

/// Text that is not a UUID names nothing.
fn id(text: &str) -> Result<TruCodeId, Status> {
    text.parse().map_err(|_| status(Failure::NotFound("code")))
}

fn unknown_party() -> Status {
    status(Failure::Invalid(vec![FieldViolation::new("relying_party_id", "must be the id of a relying party")]))
}
