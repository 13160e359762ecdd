//! The gRPC service of confirmations.

use std::time::Duration;

use nodkey_kernel::id::{OperatorId, OperatorSessionId, RelyingPartyId};
use nodkey_proto::{
    access::allowed,
    convert::timestamp,
    registry::v1::{
        self as pb, ConfirmationState, CreateConfirmationRequest, CreateConfirmationResponse, GetConfirmationRequest,
        confirmation_service_server::ConfirmationService,
    },
};
use nodkey_runtime::{Caller, caller, status::status, uninterrupted};
use tonic::{Request, Response, Status};

use super::{Grpc, id};
use crate::{
    app::{RequestedOperation, Standing},
    domain::{Refusal, confirmation::Confirmation},
};

/// Maximum wait of one call, in seconds.
const MAX_WAIT: i32 = 10;

#[tonic::async_trait]
impl ConfirmationService for Grpc {
    async fn create_confirmation(
        &self,
        request: Request<CreateConfirmationRequest>,
    ) -> Result<Response<CreateConfirmationResponse>, Status> {
        let caller = caller(&request)?;
        let (operator, session, acts_for) = signed_in(&caller).map_err(status)?;
        let CreateConfirmationRequest { method, request, stream_sha256 } = request.into_inner();
        // Nobody is prompted for a call that would be refused anyway.
        may(&caller, &method).map_err(status)?;
        let (app, asked) = (self.0.clone(), RequestedOperation { operator, session, acts_for, method, request, stream_sha256 });
        let created = uninterrupted(async move { app.create_confirmation(asked).await });
        let (confirmation, match_number) = created.await.map_err(status)?;
        let confirmation = Some(message(&confirmation, Standing::Waiting));
        Ok(Response::new(CreateConfirmationResponse { confirmation, match_number }))
    }

    async fn get_confirmation(&self, request: Request<GetConfirmationRequest>) -> Result<Response<pb::Confirmation>, Status> {
        let (operator, ..) = signed_in(&caller(&request)?).map_err(status)?;
        let GetConfirmationRequest { id: named, wait_seconds } = request.into_inner();
        let wanted = id(&named, "confirmation").map_err(status)?;
        let patience = u64::try_from(wait_seconds).ok().filter(|_| wait_seconds <= MAX_WAIT);
        let patience = patience.ok_or_else(|| status(Refusal::invalid("wait_seconds", "must be 0 to 10")))?;
        let (confirmation, standing) = self.0.confirmation(operator, wanted, Duration::from_secs(patience)).await.map_err(status)?;
        Ok(Response::new(message(&confirmation, standing)))
    }
}

/// The calling operator, session and relying party. A caller with the operator key has no phone and is refused.
fn signed_in(caller: &Caller) -> Result<(OperatorId, OperatorSessionId, Option<RelyingPartyId>), Refusal> {
    match caller {
        Caller::Operator { operator: nodkey_runtime::Operator { id: Some(id), session: Some(session), .. }, relying_party } => {
            Ok((*id, *session, *relying_party))
        }
        _ => Err(Refusal::NoPhone),
    }
}

/// Refuses to confirm a method that the caller may not call.
fn may(caller: &Caller, method: &str) -> Result<(), Refusal> {
    match caller {
        Caller::Operator { operator, .. } if !allowed(&format!("/{method}")).is_none_or(|allow| caller.may(allow)) => {
            Err(Refusal::RoleTooLow(operator.role))
        }
        _ => Ok(()),
    }
}

fn message(confirmation: &Confirmation, standing: Standing) -> pb::Confirmation {
    let state = match standing {
        Standing::Waiting => ConfirmationState::Waiting,
        Standing::Accepted => ConfirmationState::Accepted,
        Standing::Rejected => ConfirmationState::Rejected,
        Standing::Expired => ConfirmationState::Expired,
        Standing::Used => ConfirmationState::Used,
    };
    pb::Confirmation {
        id: confirmation.id.to_string(),
        state: state.into(),
        action: confirmation.shown.action.clone(),
        resource: confirmation.shown.resource.clone(),
        expires_at: Some(timestamp(confirmation.expires_at)),
    }
}
