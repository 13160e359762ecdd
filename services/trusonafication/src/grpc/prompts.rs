//! The gRPC service of prompt budgets.

use nodkey_proto::{
    convert::timestamp,
    trusonafication::v1::{
        GetPromptBudgetRequest, PromptBudget, PromptHold, ReleasePromptHoldRequest, ResetPromptBudgetRequest,
        prompt_service_server::PromptService,
    },
};
use nodkey_runtime::{Validation, caller, status::status, uninterrupted};
use tonic::{Request, Response, Status};

use super::Api;
use crate::{
    app::{Hold, Patience},
    domain::MAX_IDENTIFIER,
};

#[tonic::async_trait]
impl PromptService for Api {
    async fn get_prompt_budget(&self, request: Request<GetPromptBudgetRequest>) -> Result<Response<PromptBudget>, Status> {
        let party = caller(&request)?.relying_party()?;
        let user = request.into_inner().user_identifier;
        check(&user, "")?;
        let patience = self.0.patience(party, &user).await.map_err(status)?;
        Ok(Response::new(message(user, patience)))
    }

    async fn release_prompt_hold(&self, request: Request<ReleasePromptHoldRequest>) -> Result<Response<PromptBudget>, Status> {
        let party = caller(&request)?.relying_party()?;
        let ReleasePromptHoldRequest { user_identifier: user, context } = request.into_inner();
        check(&user, &context)?;
        let (app, name) = (self.0.clone(), user.clone());
        let release = async move { app.release_hold(party, &name, &context).await };
        Ok(Response::new(message(user, uninterrupted(release).await.map_err(status)?)))
    }

    async fn reset_prompt_budget(&self, request: Request<ResetPromptBudgetRequest>) -> Result<Response<PromptBudget>, Status> {
        let party = caller(&request)?.relying_party()?;
        let user = request.into_inner().user_identifier;
        check(&user, "")?;
        let (app, name) = (self.0.clone(), user.clone());
        let reset = async move { app.reset_budget(party, &name).await };
        Ok(Response::new(message(user, uninterrupted(reset).await.map_err(status)?)))
    }
}

fn check(user: &str, context: &str) -> Result<(), Status> {
    let mut validation = Validation::default();
    validation.text("user_identifier", user, MAX_IDENTIFIER);
    if !context.is_empty() {
        validation.text("context", context, MAX_IDENTIFIER);
    }
    validation.finish().map_err(status)
}

fn message(user_identifier: String, patience: Patience) -> PromptBudget {
    let Patience { strikes, wrong_numbers, waiting, free_at, holds } = patience;
    let hold = |hold: Hold| PromptHold {
        context: hold.context,
        held_at: Some(timestamp(hold.held_at)),
        held_until: Some(timestamp(hold.held_until)),
        trusonafication_id: hold.trusonafication.to_string(),
    };
    PromptBudget {
        user_identifier,
        strikes: i32::try_from(strikes).unwrap_or(i32::MAX),
        waiting: i32::try_from(waiting).unwrap_or(i32::MAX),
        free_at: free_at.map(timestamp),
        holds: holds.into_iter().map(hold).collect(),
        wrong_numbers: i32::try_from(wrong_numbers).unwrap_or(i32::MAX),
    }
}
